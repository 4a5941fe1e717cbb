"""Lines of ours in a file of the user's: once, and nothing else changes."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from banger.cli.dotfiles import Block, put_block, remove_block, with_block, without_block
from banger.core.errors import BangerError, Invalid

FIRST = Block("ssh", ("Include x",), first=True)
LAST = Block("completion", ("source y", "z"), first=False)
OURS = b"# >>> banger ssh >>>\nInclude x\n# <<< banger ssh <<<\n"


def test_where_it_goes() -> None:
    assert with_block(b"", FIRST) == OURS
    assert with_block(b"Host a", FIRST) == OURS + b"Host a"
    assert with_block(b"a", LAST) == b"a\n# >>> banger completion >>>\nsource y\nz\n# <<< banger completion <<<\n"


def test_an_older_one_is_replaced_where_it_stands() -> None:
    old = b"before\n" + OURS.replace(b"Include x", b"Include old\nand more") + b"after"
    assert with_block(old, FIRST) == b"before\n" + OURS + b"after"
    assert with_block(OURS + b"mine\n" + OURS, FIRST) == OURS + b"mine\n"
    assert without_block(b"1\n" + OURS + b"2\n" + OURS, FIRST) == b"1\n2\n"


def test_lines_end_as_the_others_do() -> None:
    assert with_block(b"Host a\r\n", FIRST) == OURS.replace(b"\n", b"\r\n") + b"Host a\r\n"
    assert without_block(with_block(b"Host a\r\n", FIRST), FIRST) == b"Host a\r\n"


def test_a_block_without_an_end_is_not_guessed_at() -> None:
    for change in (with_block, without_block):
        with pytest.raises(Invalid, match="no line"):
            change(b"# >>> banger ssh >>>\nHost precious\n", FIRST)


CONTENT = st.one_of(
    st.binary(max_size=200),
    st.lists(
        st.sampled_from([b"Host a\n", b"\r\n", b"x\r", b"\x0b", b"\xe2\x80\xa8", b"# <<< banger ssh <<<\n", OURS]), max_size=8
    ).map(b"".join),
)  # fmt: skip


@given(content=CONTENT)
def test_not_a_byte_beside_it_changes(content: bytes) -> None:
    rest = without_block(content, FIRST)
    for block in (FIRST, LAST):
        once = with_block(content, block)
        assert with_block(once, block) == once
    assert without_block(with_block(content, FIRST), FIRST) == rest
    assert without_block(with_block(rest, LAST), LAST).rstrip(b"\r\n") == rest.rstrip(b"\r\n")


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o640])
def test_permissions_stay_and_nothing_else_is_left(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "config"
    file.write_bytes(b"Host a\n")
    file.chmod(mode)
    before = os.umask(0o077)
    try:
        assert put_block(file, FIRST)
    finally:
        os.umask(before)
    assert not put_block(file, FIRST)
    assert stat.S_IMODE(file.stat().st_mode) == mode
    assert file.read_bytes() == OURS + b"Host a\n"
    assert remove_block(file, FIRST)
    assert not remove_block(file, FIRST)
    assert file.read_bytes() == b"Host a\n"
    assert [entry.name for entry in tmp_path.iterdir()] == ["config"]


def test_a_file_of_ours_alone_comes_and_goes(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "config"
    assert not remove_block(file, FIRST)
    assert put_block(file, FIRST)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert remove_block(file, FIRST)
    assert not file.exists()


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    real = tmp_path / "dotfiles" / "config"
    real.parent.mkdir()
    real.write_bytes(b"Host a\n")
    link = tmp_path / "config"
    link.symlink_to("dotfiles/config")
    put_block(link, FIRST)
    assert link.is_symlink()
    assert real.read_bytes() == OURS + b"Host a\n"
    remove_block(link, FIRST)
    assert (link.is_symlink(), real.read_bytes()) == (True, b"Host a\n")


@pytest.mark.parametrize("kind", ["read-only", "directory", "unclosed", "loop"])
def test_what_is_not_ours_to_change_is_refused_with_the_lines(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "config"
    if kind == "directory":
        file.mkdir()
    elif kind == "loop":
        file.symlink_to("config")
    else:
        file.write_bytes(b"# >>> banger ssh >>>\n" if kind == "unclosed" else b"Host a\n")
        file.chmod(0o400 if kind == "read-only" else 0o600)
    before = None if kind == "loop" else file.stat()
    with pytest.raises(BangerError) as refused:
        put_block(file, FIRST)
    assert str(file) in refused.value.summary
    assert kind == "unclosed" or refused.value.hint.endswith("at its beginning: Include x")
    assert before is None or file.stat() == before
