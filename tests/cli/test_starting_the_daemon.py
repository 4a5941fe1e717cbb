"""Starting the daemon: once, however many ask; with its reason when it cannot; and ending it again."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tests.cli.world import DEADLINE_S, SOURCE, World

from banger.cli.daemon import _import_path
from banger.cli.exits import OF_KIND
from banger.core.processes import read_identity

DRIVER = """
import sys
from banger.cli.main import main
how, *words = sys.argv[1:]
sys.exit(main(words, daemon_argv=[sys.executable, "-m", "tests.cli.starting_daemon", how]))
"""


class Starting:
    """Runs the command line with a daemon of the tests."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.environment = {**world.environment, "PYTHONPATH": f"{SOURCE}:{SOURCE.parent}"}

    def start(self, how: str, *words: str) -> subprocess.Popen[bytes]:
        argv = [sys.executable, "-c", DRIVER, how, *words]
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            argv, env=self.environment, cwd=self.world.cwd, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0
        )
        self.world.started.append(process)
        return process

    def run(self, how: str, *words: str) -> tuple[int, str, str]:
        process = self.start(how, *words)
        out, err = process.communicate(timeout=DEADLINE_S)
        return process.returncode, out.decode(), err.decode()

    def starts(self) -> list[dict[str, Any]]:
        with suppress(OSError):
            return [json.loads(line) for line in (self.world.layout.state / "starts").read_text().splitlines()]
        return []


@pytest.fixture
def starting(world: World) -> Iterator[Starting]:
    made = Starting(world)
    yield made
    for facts in made.starts():
        with suppress(ProcessLookupError):
            os.kill(facts["pid"], signal.SIGKILL)


def test_the_daemon_is_started_and_found_again(starting: Starting, world: World) -> None:
    for _ in range(3):
        assert starting.run("well", "vm", "list", "--json") == (0, '{\n  "vms": []\n}\n', "")
    (facts,) = starting.starts()
    assert facts["cwd"] == "/"
    assert facts["umask"] == 0o077
    assert facts["sid"] == facts["pid"]
    assert world.layout.daemon_log.read_text() == "the daemon says something on its standard output\n"
    for path in (world.layout.run, world.layout.state):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    for path in (world.layout.daemon_log, world.layout.start_lock):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_ten_at_once_start_one(starting: Starting) -> None:
    processes = [starting.start("well", "vm", "list", "-q") for _ in range(10)]
    for process in processes:
        assert process.communicate(timeout=DEADLINE_S) == (b"", b"")
        assert process.returncode == 0
    assert len(starting.starts()) == 1


def test_a_stale_socket_does_not_matter(starting: Starting, world: World) -> None:
    import socket

    world.layout.run.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(world.layout.daemon_socket))
    assert starting.run("well", "vm", "list", "-q") == (0, "", "")


def test_a_daemon_that_gives_a_reason(starting: Starting) -> None:
    status, out, err = starting.run("refuse", "vm", "list")
    assert (status, out) == (OF_KIND["unsupported"], "")
    assert err == "banger: this kernel is too old\n  hint: update it\n"


def test_a_daemon_that_crashes(starting: Starting, world: World) -> None:
    status, out, err = starting.run("crash", "vm", "list")
    assert (status, out) == (OF_KIND["unavailable"], "")
    lines = err.splitlines()
    assert lines[0] == "banger: the daemon ended before it was ready"
    assert "  | RuntimeError: the daemon crashes" in lines
    assert lines[-1] == f"  log: {world.layout.daemon_log}"
    status, out, _ = starting.run("crash", "vm", "list", "--json")
    assert status == OF_KIND["unavailable"]
    assert "RuntimeError" in json.loads(out)["error"]["data"]["log_tail"]


def test_a_daemon_that_leaves_at_once(starting: Starting) -> None:
    status, _, err = starting.run("leave", "vm", "list")
    assert status == OF_KIND["unavailable"]
    assert err.startswith("banger: the daemon ended right after it had started\n")


def test_doctor_tells_why_the_daemon_does_not_start(starting: Starting) -> None:
    status, out, _ = starting.run("crash", "doctor")
    assert status == 1
    assert out.startswith("FAIL  daemon  the daemon ended before it was ready\n")
    assert "RuntimeError: the daemon crashes" in out
    status, out, _ = starting.run("refuse", "doctor", "--json")
    assert status == 1
    (check,) = json.loads(out)["checks"]
    assert (check["id"], check["level"]) == ("daemon", "fail")
    assert (check["text"], check["fix"], check["commands"]) == ("this kernel is too old", "update it", [])


def test_directories_that_cannot_be_made(starting: Starting, world: World) -> None:
    world.home.write_text("a file is in the way")
    status, _, err = starting.run("well", "vm", "list")
    assert status == 2
    assert err.startswith("banger: ")
    assert str(world.home) in err


def test_a_directory_that_others_may_write_is_refused(starting: Starting, world: World) -> None:
    world.home.mkdir(exist_ok=True)
    world.home.chmod(0o777)
    status, _, err = starting.run("well", "vm", "list")
    assert (status, "another user may write" in err) == (6, True)
    assert list(world.home.iterdir()) == []


def test_status_and_stop(starting: Starting, world: World) -> None:
    status, out, _ = starting.run("well", "daemon", "status")
    assert (status, out.splitlines()[0]) == (3, "daemon  not running")
    assert starting.run("well", "daemon", "stop") == (0, "The daemon was not running.\n", "")
    assert starting.starts() == []
    assert not world.home.exists()
    starting.run("well", "vm", "list")
    (facts,) = starting.starts()
    status, out, _ = starting.run("well", "daemon", "status", "--json")
    assert status == 0
    assert json.loads(out)["daemon"]["pid"] == facts["pid"]
    status, out, _ = starting.run("well", "daemon", "stop")
    assert (status, out) == (0, f"The daemon, pid {facts['pid']}, has ended.\n")
    assert read_identity(facts["pid"]) is None


def test_restart(starting: Starting) -> None:
    for _ in range(2):
        status, out, _ = starting.run("well", "daemon", "restart")
        assert status == 0
        assert out == f"The daemon runs, version 1.2.3, pid {starting.starts()[-1]['pid']}.\n"
    assert len(starting.starts()) == 2


def test_a_daemon_of_another_version_can_be_restarted(starting: Starting) -> None:
    assert starting.run("old", "vm", "list")[0] == OF_KIND["unsupported"]
    assert starting.run("well", "daemon", "restart")[0] == 0
    assert starting.run("well", "vm", "list", "-q") == (0, "", "")


def test_a_command_waits_for_a_daemon_that_is_ending(starting: Starting) -> None:
    starting.run("slow-end", "vm", "list", "-q")
    stopping = starting.start("slow-end", "daemon", "stop")
    while starting.run("slow-end", "daemon", "status")[0] == 0:
        pass
    assert starting.run("well", "vm", "list", "-q") == (0, "", "")
    assert stopping.wait(DEADLINE_S) == 0
    assert len(starting.starts()) == 2


def test_a_daemon_that_is_just_beginning_is_not_taken_for_one_that_is_ending(starting: Starting, world: World) -> None:
    """Whoever started it was interrupted, and it holds its lock and does not listen yet."""
    first = starting.start("late", "vm", "list")
    until((world.layout.state / "locked").exists)
    first.kill()
    first.wait()
    second = starting.start("late", "vm", "list", "-q")
    until(lambda: world.layout.daemon_lock in open_files(second.pid))  # it waits for the one or the other
    (world.layout.state / "may_begin").touch()
    assert second.communicate(timeout=DEADLINE_S) == (b"", b"")
    assert second.returncode == 0
    assert len(starting.starts()) == 1


def until(condition: Callable[[], bool]) -> None:
    end_s = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.01)


def open_files(pid: int) -> set[Path]:
    found = set()
    with suppress(OSError):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                found.add(descriptor.readlink())
    return found


def test_a_daemon_that_has_something_to_finish_is_waited_for(starting: Starting, world: World) -> None:
    starting.run("busy", "vm", "list", "-q")
    (facts,) = starting.starts()
    stopping = starting.start("busy", "daemon", "stop")
    assert stopping.stderr is not None
    assert b"is finishing work that must not stay half done" in stopping.stderr.readline()
    assert stopping.poll() is None
    (world.layout.state / "may_end").touch()
    out, err = stopping.communicate(timeout=DEADLINE_S)
    assert (stopping.returncode, out.decode(), err) == (0, f"The daemon, pid {facts['pid']}, has ended.\n", b"")


def test_the_daemon_imports_the_package_of_the_command_line() -> None:
    assert _import_path({}) == {"PYTHONPATH": str(SOURCE)}
    assert _import_path({"PYTHONPATH": "here"}) == {"PYTHONPATH": f"{SOURCE}:{Path.cwd() / 'here'}"}
    assert _import_path({"PYTHONPATH": str(SOURCE)}) == {"PYTHONPATH": str(SOURCE)}
