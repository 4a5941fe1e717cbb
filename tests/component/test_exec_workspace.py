"""`vm exec` in a workspace: its directory, its tools, its time, and a repository that has moved on."""

from __future__ import annotations

import signal
from pathlib import Path

import pexpect
import pytest
from tests.component.fake_world import FakeWorld
from tests.component.test_life import until
from tests.world import commit_all, git

# What banger asks of mise. It installs what mise.toml says, as the shell understands it.
MISE = """#!/bin/sh
verb=$1
shift
case $verb in
    trust) echo "$@" >> /root/trusted ;;
    install) . ./mise.toml && echo "installed in $PWD" && touch /root/installed ;;
    exec)
        [ "$1" = -- ] || exit 90
        shift
        export TOOLS="of $PWD" TRUSTED="$MISE_TRUSTED_CONFIG_PATHS"
        exec "$@"
        ;;
    *) exit 91 ;;
esac
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


def test_a_workspace_that_began_elsewhere_is_compared_with_that(world: FakeWorld, repository: Path) -> None:
    world.keep_guests_apart()
    world.start_daemon()
    git(repository, "branch", "old")
    (repository / "more").write_text("more\n")
    commit_all(repository)
    world.succeed("vm", "run", "-q", "-d", "--name", "box", "--branch", "work", "--from", "old", str(repository))
    assert world.banger("vm", "exec", "box", "--", "true").stderr == b""
    git(repository, "branch", "-f", "old", "main")
    assert b"--auto-prepare" in world.banger("vm", "exec", "box", "--", "true").stderr


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


def ask_for_tools(repository: Path, text: str) -> None:
    (repository / "mise.toml").write_text(text)
    commit_all(repository)


def test_tools_are_installed_before_a_detached_run_returns(world: FakeWorld, repository: Path) -> None:
    world.keep_guests_apart()
    put_mise(world)
    world.start_daemon()
    ask_for_tools(repository, "printf 'one\\rtwo\\n\\033[2Jthree\\n'")
    done = world.banger("vm", "run", "-d", "--nat", "--name", "box", str(repository))
    assert (done.returncode, done.stdout) == (0, b"box\n"), done
    lines = done.stderr.decode().splitlines()
    assert [line for line in lines if line in ("one", "two", "\\x1b[2Jthree", "installed in /root/project")] == lines[
        -5:-1
    ]
    assert b"\x1b" not in done.stderr
    world.succeed("vm", "exec", "box", "--", "test", "-e", "/root/installed")
    (job,) = world.json("vm", "jobs", "list", "box")["jobs"]
    assert (job["command"], job["status"]) == (["mise", "install"], 0)


def test_tools_are_installed_before_the_command(world: FakeWorld, repository: Path) -> None:
    world.keep_guests_apart()
    put_mise(world)
    world.start_daemon()
    ask_for_tools(repository, "sleep 1")
    run = ("vm", "run", "--nat", "--rm", str(repository), "--", "sh", "-c", "echo $TOOLS; ls /root/installed")
    assert world.succeed(*run) == b"of /root/project\n/root/installed\n"
    ask_for_tools(repository, "echo no such tool; exit 3")
    done = world.banger(*run)
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"no such tool" in done.stderr
    assert b"status 3" in done.stderr
    assert world.vms() == []
    done = world.banger("vm", "run", "-d", "--nat", "--name", "box", str(repository))
    assert (done.returncode, done.stdout, b"vm jobs logs box 1" in done.stderr) == (1, b"box\n", True), done
    assert world.succeed("vm", "jobs", "logs", "box", "1") == b"no such tool\n"


def test_a_shell_does_not_wait_for_tools(world: FakeWorld, repository: Path) -> None:
    world.keep_guests_apart()
    put_mise(world)
    world.start_daemon()
    ask_for_tools(repository, f"until [ -e {world.root}/go ]; do sleep 0.1; done")
    command = [*world.command, "vm", "run", "--nat", "--name", "box", str(repository)]
    shell = pexpect.spawn(command[0], command[1:], env={**world.environment, "TERM": "dumb"}, timeout=120)
    shell.expect("vm jobs logs box 1 -f")
    shell.sendline("test -e /root/installed || echo not'-'yet; exit")
    shell.expect("not-yet")
    shell.expect(pexpect.EOF)
    (world.root / "go").touch()
    world.succeed("vm", "jobs", "wait", "box", "1")
    world.succeed("vm", "exec", "box", "--", "test", "-e", "/root/installed")


def test_tools_need_a_network_and_mise(world: FakeWorld, repository: Path) -> None:
    world.keep_guests_apart()
    world.start_daemon()
    ask_for_tools(repository, "exit 3")
    for words in (("-d",), ("--rm", "--no-nat"), ()):
        command = () if "-d" in words else ("--", "true")
        done = world.banger("vm", "run", *words, str(repository), *command)
        assert done.returncode == 2, done
        assert b"mise.toml" in done.stderr
        assert b"--nat" in done.stderr
        assert b"--no-bootstrap" in done.stderr
        world.check_nothing_left()
    assert world.succeed("vm", "run", "-q", "--rm", "--no-bootstrap", str(repository), "--", "echo", "ran") == b"ran\n"
    done = world.banger("vm", "run", "--rm", "--nat", str(repository), "--", "echo", "ran")
    assert (done.returncode, done.stdout) == (0, b"ran\n")
    assert b"debian-dev" in done.stderr
    assert b"--no-bootstrap" in done.stderr


def test_a_run_that_is_given_up_while_tools_are_installed_leaves_nothing(world: FakeWorld, repository: Path) -> None:
    world.keep_guests_apart()
    put_mise(world)
    world.start_daemon()
    ask_for_tools(repository, f"echo at work; until [ -e {world.root}/go ]; do sleep 0.1; done")
    process = world.start("vm", "run", "-d", "--nat", "--name", "box", str(repository))
    assert process.stderr is not None
    while b"at work" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    (world.root / "go").touch()  # a guest's processes live on this host, where no machine takes them along
    until(lambda: world.vms() == [])
    world.check_nothing_left()


def test_a_daemon_that_dies_while_tools_are_installed_leaves_nothing(world: FakeWorld, repository: Path) -> None:
    world.keep_guests_apart()
    put_mise(world)
    world.start_daemon()
    ask_for_tools(repository, f"echo at work; until [ -e {world.root}/go ]; do sleep 0.1; done")
    process = world.start("vm", "run", "-d", "--nat", "--name", "box", str(repository))
    assert process.stderr is not None
    while b"at work" not in process.stderr.readline():
        assert process.poll() is None
    world.kill_daemon()
    process.communicate(timeout=60)
    assert process.returncode != 0
    (world.root / "go").touch()
    world.start_daemon()
    until(lambda: world.vms() == [])
    world.check_nothing_left()
