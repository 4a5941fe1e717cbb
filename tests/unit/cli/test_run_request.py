from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest

from banger.cli.commands.vm_run import check_combination, find_path
from banger.cli.guest import guest_environment, parse_environment
from banger.core.errors import Invalid


def options(**given: Any) -> Namespace:
    nothing: dict[str, Any] = {
        "locked": False,
        "kernel": None,
        "platform": None,
        "path": None,
        "rm": False,
        "detach": False,
        "dry_run": False,
        "json": False,
        "no_workspace": False,
        "tty": False,
        "env": [],
        "command": None,
    }
    return Namespace(**{**nothing, **given})


@pytest.mark.parametrize(
    ("given", "summary"),
    [
        ({"detach": True, "rm": True}, "-d and --rm exclude each other"),
        ({"json": True, "command": ["ls"]}, "--json is for -d and --dry-run"),
        ({"detach": True, "command": ["ls"]}, "-d and a command exclude each other"),
        ({"detach": True, "tty": True}, "-d and -t exclude each other"),
        ({"detach": True, "env": ["A=1"]}, "-d and -e exclude each other"),
        ({"path": ".", "no_workspace": True}, "PATH and --no-workspace exclude each other"),
        ({"env": ["A"]}, "'A' does not set a variable"),
        ({"env": ["=1"]}, "'=1' does not set a variable"),
        ({"env": ["a b=1"]}, "'a b=1' does not set a variable"),
    ],
)
def test_flags_that_exclude_each_other(given: dict[str, Any], summary: str) -> None:
    with pytest.raises(Invalid) as caught:
        check_combination(options(**given))
    assert caught.value.summary == summary
    assert caught.value.hint


@pytest.mark.parametrize(
    "given",
    [{}, {"rm": True}, {"detach": True}, {"rm": True, "command": ["ls"], "tty": True}, {"no_workspace": True}],
)
def test_flags_that_go_together(given: dict[str, Any]) -> None:
    check_combination(options(**given))


def test_the_repository_is_found_upwards(tmp_path: Path) -> None:
    (tmp_path / "repo/.git").mkdir(parents=True)
    (tmp_path / "repo/src/deep").mkdir(parents=True)
    assert find_path(options(), directory=str(tmp_path / "repo/src/deep")) == str(tmp_path / "repo")
    assert find_path(options(), directory=str(tmp_path / "repo")) == str(tmp_path / "repo")


def test_a_worktree_has_a_file_called_git(tmp_path: Path) -> None:
    (tmp_path / ".git").write_text("gitdir: /elsewhere\n")
    assert find_path(options(), directory=str(tmp_path)) == str(tmp_path)


def test_no_repository_and_no_workspace(tmp_path: Path) -> None:
    assert find_path(options(), directory="/") is None
    (tmp_path / ".git").mkdir()
    assert find_path(options(no_workspace=True), directory=str(tmp_path)) is None


def test_a_given_path_becomes_absolute_and_stays_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "repo/sub").mkdir(parents=True)
    assert find_path(options(path="repo/sub/../sub"), directory=str(tmp_path)) == str(tmp_path / "repo/sub")
    assert find_path(options(path="."), directory=str(tmp_path)) == str(tmp_path)


def test_a_path_that_is_no_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for name, what in (("nowhere", "is not there"), ("file", "is not a directory")):
        with pytest.raises(Invalid, match=what):
            find_path(options(path=name), directory=str(tmp_path))


def test_the_environment_of_the_command() -> None:
    assert parse_environment(["A=1", "B=x=y", "C=", "A=2"]) == {"A": "2", "B": "x=y", "C": ""}
    assert guest_environment(options(env=["A=1"]), {"TERM": "xterm-256color"}, pty=False) == {"A": "1"}
    assert guest_environment(options(), {"TERM": "screen"}, pty=True) == {"TERM": "screen"}
    assert guest_environment(options(), {}, pty=True) == {"TERM": "xterm"}
    assert guest_environment(options(env=["TERM=vt100"]), {"TERM": "screen"}, pty=True) == {"TERM": "vt100"}
