"""What is refused before the daemon hears of it: exit status 2, one sentence, a hint, and nothing on disk."""

from __future__ import annotations

import json
import shlex
import subprocess

import pytest
from tests.cli.world import World

REFUSED = [
    "vm run --name Bad_Name -- true",
    "vm run --name -- true",
    "vm run --name a.b.c -d",
    "vm run -d --rm",
    "vm run -d . -- make",
    "vm run -d -t",
    "vm run --memory 1M -- true",
    "vm run --memory 2000G -- true",
    "vm run --disk 100T -- true",
    "vm run --vcpu 1000 -- true",
    "vm run --vcpu 0 -- true",
    "vm run nowhere -- true",
    "vm run",
    "vm run --rm",
    "vm run --",
    "vm run . --no-workspace -- true",
    "vm run -e 1X=2 -- true",
    "vm exec",
    "vm exec box",
    "vm exec box --",
    "vm exec -e X box -- true",
    "vm exec a/b -- true",
    "vm delete",
    "vm show",
    "vm rename a b c",
    "vm ssh box --print-config -- ls",
    "image import nowhere.tar --name x",
    "image import . --name x",
    "image import - --name X",
    "vm bogus",
    "bogus",
    "vm list --bogus",
]


@pytest.mark.parametrize("line", REFUSED)
def test_refused(world: World, line: str) -> None:
    done = world.run(*line.split())
    text = done.stderr.decode()
    assert done.returncode == 2, text
    assert done.stdout == b""
    assert text.startswith("banger: ")
    assert text.count("\n") == 2
    assert "\n  hint: " in text
    assert not world.home.exists()


@pytest.mark.parametrize(
    "words",
    [
        ("vm", "run", "--no-workspace", "--", "echo", "x" * 61_000),
        ("vm", "run", "--no-workspace", "--", "echo", *["\u00e9" * 10_000] * 4),
        ("vm", "run", "--no-workspace", "--", "echo", *["x" * 100_000] * 12),
        ("vm", "run", "--no-workspace", "-e", "A=" + "x" * 61_000, "--", "true"),
        ("vm", "exec", "box", "--", "echo", *["x"] * 5000),
    ],
)
def test_a_command_that_no_guest_takes_is_refused(world: World, words: tuple[str, ...]) -> None:
    done = world.run(*words)
    assert done.returncode == 2, done.stderr[-1000:]
    assert b"a guest takes at most" in done.stderr
    assert b"\n  hint: " in done.stderr
    assert not world.home.exists()


def test_refused_as_json(world: World) -> None:
    done = world.run("vm", "list", "--json", "--bogus")
    error = json.loads(done.stdout)["error"]
    assert done.returncode == 2
    assert done.stderr == b""
    assert error["kind"] == "invalid"
    assert "--bogus" in error["summary"]


def test_json_after_the_dashes_is_the_commands(world: World) -> None:
    done = world.run("vm", "exec", "--bogus", "box", "--", "x", "--json")
    assert done.stdout == b""
    assert done.stderr.startswith(b"banger: ")


def test_an_argument_that_is_not_text_is_refused(world: World) -> None:
    done = world.run("vm", "exec", "box", "--cwd", "a\udcff", "--", "x")
    assert done.returncode == 2
    assert b"not valid UTF-8" in done.stderr


@pytest.mark.parametrize("words", [("vm", "run", "--", "true"), ("vm", "run", "--dry-run")])
def test_a_directory_that_is_gone_is_told_of(world: World, words: tuple[str, ...]) -> None:
    gone = world.cwd / "gone"
    gone.mkdir()
    line = shlex.join(world.argv(*words))
    done = subprocess.run(
        ["sh", "-c", f"rmdir {shlex.quote(str(gone))}; {line}"],
        cwd=gone,
        env=dict(world.environment),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 2, done
    assert done.stderr.startswith(b"banger: the directory that you are in is not there any more\n  hint: ")


def test_without_a_home_it_is_said_what_to_set(world: World) -> None:
    environment = {name: value for name, value in world.environment.items() if name not in ("HOME", "BANGER_HOME")}
    done = subprocess.run(world.argv("vm", "list"), cwd=world.cwd, env=environment, capture_output=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(b"banger: HOME is not set\n  hint: set HOME, or BANGER_HOME=")


def test_a_relative_home_is_refused(world: World) -> None:
    done = world.run("vm", "list", environment={"BANGER_HOME": "here"})
    assert done.returncode == 2
    assert b"not an absolute path" in done.stderr
