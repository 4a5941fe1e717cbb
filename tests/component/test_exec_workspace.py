"""`vm exec` in a workspace: its directory, its tools, its time, and a repository that has moved on."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.component.fake_world import FakeWorld
from tests.world import commit_all, git

# What banger asks of mise: `exec -- COMMAND`.
MISE = """#!/bin/sh
[ "$1" = exec ] && [ "$2" = -- ] || exit 90
shift 2
export TOOLS="of $PWD" TRUSTED="$MISE_TRUSTED_CONFIG_PATHS"
exec "$@"
"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    path = tmp_path / "project"
    (path / "src").mkdir(parents=True)
    git(path, "init", "-q", "-b", "main")
    (path / "src" / "main.c").write_text("int main;\n")
    commit_all(path)
    return path


def put_mise(world: FakeWorld) -> None:
    """Into every guest from now on."""
    program = world.root / "guests" / "every" / "root" / ".local" / "bin" / "mise"
    program.parent.mkdir(parents=True)
    program.write_text(MISE)
    program.chmod(0o755)


def test_directories_begin_in_the_workspace(world: FakeWorld, repository: Path) -> None:
    world.keep_guests_apart()
    world.start_daemon()
    world.succeed("vm", "run", "-q", "-d", "--name", "box", str(repository))
    for cwd, directory in (("src", b"/root/project/src"), ("/srv", b"/srv"), ("..", b"/root")):
        assert world.succeed("vm", "exec", "box", "--cwd", cwd, "--", "pwd") == directory + b"\n"
    assert world.succeed("vm", "exec", "box", "--", "ls") == b"src\n"


def test_commands_in_a_workspace_run_with_its_tools(world: FakeWorld, repository: Path) -> None:
    world.keep_guests_apart()
    put_mise(world)
    world.start_daemon()
    tell = ("--", "sh", "-c", 'echo "$TOOLS,$TRUSTED"')
    told = world.succeed("vm", "run", "-q", "--name", "box", str(repository), *tell)
    assert told == b"of /root/project,/root/project\n"
    assert world.succeed("vm", "exec", "box", "--cwd", "src", *tell) == b"of /root/project/src,/root/project\n"
    assert world.succeed("vm", "exec", "box", "--cwd", "/srv", *tell) == b",\n"
    for program, status in (("no-such-program", 127), ("/etc/passwd", 126), ("false", 1)):
        assert world.banger("vm", "exec", "box", "--", program).returncode == status
    assert world.banger("vm", "exec", "box", "--", "sh", "-c", "kill -9 $$").returncode == 137


def test_a_command_whose_time_is_up(world: FakeWorld, repository: Path) -> None:
    world.keep_guests_apart()
    world.start_daemon()
    world.succeed("vm", "run", "-q", "-d", "--name", "box", str(repository))
    done = world.banger("vm", "exec", "box", "--timeout", "1s", "--", "sleep", "3605")
    assert (done.returncode, b"within 1 s" in done.stderr) == (124, True), done
    done = world.banger(
        "vm", "exec", "box", "--timeout", "1s", "--", "sh", "-c", "trap 'echo bye; exit 0' TERM; sleep 3605 & wait"
    )
    assert (done.returncode, done.stdout) == (124, b"bye\n"), done
    done = world.banger(
        "vm", "exec", "box", "--timeout", "1s", "--", "sh", "-c", "trap '' TERM; while :; do sleep 1; done"
    )
    assert done.returncode == 124, done
    assert world.banger("vm", "exec", "box", "--timeout", "1h", "--", "sh", "-c", "exit 3").returncode == 3


def test_a_repository_that_has_moved_on_is_told_of(world: FakeWorld, repository: Path) -> None:
    world.keep_guests_apart()
    world.start_daemon()
    world.succeed("vm", "run", "-q", "-d", "--name", "box", str(repository))
    assert world.banger("vm", "exec", "box", "--", "true").stderr == b""
    was = git(repository, "rev-parse", "HEAD").decode().strip()
    (repository / "src" / "main.c").write_text("int main();\n")
    commit_all(repository)
    now = git(repository, "rev-parse", "HEAD").decode().strip()
    done = world.banger("vm", "exec", "box", "--", "echo", "ran")
    assert (done.returncode, done.stdout) == (0, b"ran\n")
    (line,) = done.stderr.decode().splitlines()
    assert now[:12] in line
    assert was[:12] in line
    assert world.banger("vm", "exec", "box", "--cwd", "/", "--", "true").stderr == b""
    git(repository, "checkout", "-q", was)
    assert world.banger("vm", "exec", "box", "--", "true").stderr == b""
    repository.rename(repository.with_name("gone"))
    assert world.banger("vm", "exec", "box", "--", "true").stderr == b""


def test_auto_prepare_brings_the_workspace_up_to_date_first(world: FakeWorld, repository: Path) -> None:
    world.keep_guests_apart()
    world.start_daemon()
    world.succeed("vm", "run", "-q", "-d", "--name", "box", str(repository))
    (repository / "src" / "main.c").write_text("int main();\n")
    commit_all(repository)
    head = git(repository, "rev-parse", "HEAD")
    done = world.banger(
        "vm", "exec", "box", "--auto-prepare", "--", "sh", "-c", "cat src/main.c; git rev-parse HEAD; exit 5"
    )
    assert (done.returncode, done.stdout) == (5, b"int main();\n" + head), done
    assert world.banger("vm", "exec", "box", "--", "true").stderr == b""
    (repository / "new").write_text("new\n")
    commit_all(repository)
    assert world.succeed("vm", "exec", "box", "-d", "--auto-prepare", "--", "cat", "new") == b"1\n"
    world.succeed("vm", "jobs", "wait", "box", "1")
    assert world.succeed("vm", "jobs", "logs", "box", "1") == b"new\n"
    nowhere = world.banger("vm", "exec", "box", "--auto-prepare", "--cwd", "/", "--", "true")
    assert (nowhere.returncode, b"no workspace" in nowhere.stderr) == (2, True)


def test_auto_prepare_does_not_take_away_what_was_done_in_the_guest(world: FakeWorld, repository: Path) -> None:
    world.keep_guests_apart()
    world.start_daemon()
    world.succeed("vm", "run", "-q", "-d", "--name", "box", str(repository))
    world.succeed("vm", "exec", "box", "--", "sh", "-c", "echo guest > src/main.c")
    (repository / "src" / "main.c").write_text("int main();\n")
    for words in (("--", "echo", "ran"), ("-d", "--", "echo", "ran")):
        done = world.banger("vm", "exec", "box", "--auto-prepare", *words)
        assert (done.returncode, done.stdout) == (5, b""), done
        assert b"src/main.c" in done.stderr
    assert world.succeed("vm", "exec", "box", "--", "cat", "src/main.c") == b"guest\n"
    assert world.json("vm", "jobs", "list", "box") == {"jobs": []}
