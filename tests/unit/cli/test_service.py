from __future__ import annotations

import os
from pathlib import Path

import pytest

from banger.cli.service import plan_environment, plan_unit_path, render_unit
from banger.cli.wiping import remove_below
from banger.core.errors import BangerError, Invalid


def test_a_unit() -> None:
    unit = render_unit(
        argv=["/opt/a b/python", "-m", "banger.daemon"], environment={"PATH": "/bin"}, log=Path("/var/50% log")
    )
    assert 'ExecStart="/opt/a b/python" "-m" "banger.daemon"\n' in unit
    assert 'Environment="PATH=/bin"\n' in unit
    assert "StandardOutput=append:/var/50%% log\n" in unit
    assert "KillMode=process\n" in unit


@pytest.mark.parametrize(
    ("word", "written"),
    [("$HOME", '"$$HOME"'), ("%h", '"%%h"'), ('a"b', '"a\\"b"'), ("a\\nb", '"a\\\\nb"'), ("ä", '"ä"')],
)
def test_words_mean_themselves(word: str, written: str) -> None:
    assert f"ExecStart={written}\n" in render_unit(argv=[word], environment={}, log=Path("/l"))


@pytest.mark.parametrize("word", ["a\nExecStartPost=/bin/evil", "a\x1b[2J", "\udcff"])
def test_words_that_no_unit_can_hold(word: str) -> None:
    with pytest.raises(Invalid):
        render_unit(argv=["/bin/true"], environment={"PATH": word}, log=Path("/l"))
    with pytest.raises(Invalid):
        render_unit(argv=["/bin/true"], environment={}, log=Path(word))


def test_where_units_are() -> None:
    assert plan_unit_path({"HOME": "/home/a"}) == Path("/home/a/.config/systemd/user/banger.service")
    assert plan_unit_path({"HOME": "/home/a", "XDG_CONFIG_HOME": "/c"}) == Path("/c/systemd/user/banger.service")
    with pytest.raises(Invalid):
        plan_unit_path({})


def test_only_what_the_daemon_needs_is_in_a_file_that_others_may_read() -> None:
    kept = plan_environment({"PATH": "/bin", "API_KEY": "secret", "XDG_STATE_HOME": "/s", "BANGER_HOME": ""})
    assert kept == {"PATH": "/bin", "XDG_STATE_HOME": "/s"}


def test_removing_follows_no_link(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").touch()
    doomed = tmp_path / "doomed"
    (doomed / "deep").mkdir(parents=True)
    (doomed / "link").symlink_to(kept)
    (doomed / "deep" / "link").symlink_to(kept)
    assert remove_below(doomed)
    assert not doomed.exists()
    assert (kept / "file").exists()
    assert not remove_below(doomed)


def test_a_directory_that_was_moved_to_another_disk(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "file").touch()
    (tmp_path / "here").symlink_to("there")
    assert remove_below(tmp_path / "here")
    assert os.listdir(tmp_path) == ["there"]
    assert os.listdir(tmp_path / "there") == []
    (tmp_path / "dangling").symlink_to("nowhere")
    assert remove_below(tmp_path / "dangling")
    assert os.listdir(tmp_path) == ["there"]


def test_what_is_no_directory_stays(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BangerError):
        remove_below(tmp_path / "file")
    assert (tmp_path / "file").exists()
