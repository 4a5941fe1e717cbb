"""Looking for files of the host: all that is there, in order, and nothing through a link."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from banger.guest.host_files import list_host_files
from banger.guest.tree_pack import Directory, HostFile


def listed(root: Path, name: bytes) -> tuple[list[tuple[str, bytes, int]], list[tuple[bytes, str]]]:
    skipped: list[tuple[bytes, str]] = []
    found = list_host_files(root, name, at=b"at", skipped=lambda path, what: skipped.append((path, what)))
    return [(type(entry).__name__, entry.path, size) for entry, size in found], skipped


def test_a_file(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f").write_bytes(b"12345")
    assert listed(tmp_path, b"d/f") == ([("HostFile", b"at", 5)], [])


def test_a_directory_comes_before_what_is_in_it_and_that_in_order(tmp_path: Path) -> None:
    for name in ("b/x", "a/y", "a/z/deep"):
        path = tmp_path / "d" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"1")
    (tmp_path / "d" / "a" / "z").chmod(0o500)
    (tmp_path / "d" / "sticky").mkdir(mode=0o755)
    (tmp_path / "d" / "sticky").chmod(0o3755)
    found = [
        entry for entry, _ in list_host_files(tmp_path, b"d", at=b"at", skipped=lambda *_: pytest.fail("nothing is"))
    ]
    assert [entry.path for entry in found] == [
        b"at",
        b"at/a",
        b"at/a/y",
        b"at/a/z",
        b"at/a/z/deep",
        b"at/b",
        b"at/b/x",
        b"at/sticky",
    ]
    assert isinstance(found[3], Directory)
    assert found[3].mode == 0o500
    assert isinstance(found[7], Directory)
    assert found[7].mode == 0o755
    assert isinstance(found[4], HostFile)
    assert found[4].name == b"d/a/z/deep"


def test_names_need_not_be_text(tmp_path: Path) -> None:
    os.mkdir(os.fsencode(tmp_path) + b"/d")
    with open(os.fsencode(tmp_path) + b"/d/\xff\n", "wb"):
        pass
    assert listed(tmp_path, b"d")[0][1] == ("HostFile", b"at/\xff\n", 0)


def test_what_is_no_file_and_no_directory_is_told(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "link").symlink_to("/etc/passwd")
    (tmp_path / "d" / "loop").symlink_to(".")
    os.mkfifo(tmp_path / "d" / "pipe")
    found, skipped = listed(tmp_path, b"d")
    assert found == [("Directory", b"at", 0)]
    assert skipped == [
        (b"d/link", "is a symbolic link"),
        (b"d/loop", "is a symbolic link"),
        (b"d/pipe", "is neither a file nor a directory"),
    ]
    assert listed(tmp_path, b"d/link") == ([], [(b"d/link", "is a symbolic link")])


def test_no_link_on_the_way_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "f").write_bytes(b"")
    (tmp_path / "link").symlink_to("real")
    with pytest.raises(NotADirectoryError):
        listed(tmp_path, b"link/f")
    with pytest.raises(NotADirectoryError):
        listed(tmp_path, b"real/f/g")
    with pytest.raises(FileNotFoundError):
        listed(tmp_path, b"absent/f")
    with pytest.raises(FileNotFoundError):
        listed(tmp_path, b"absent")
