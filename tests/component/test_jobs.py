"""Jobs: commands that outlive their client and the daemon, with the script that looks after them on this host's shell."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.component.fake_world import FakeWorld
from tests.component.test_life import runs, until


@pytest.fixture
def box(world: FakeWorld) -> Iterator[FakeWorld]:
    world.keep_guests_apart()
    world.start_daemon()
    world.succeed("vm", "run", "-q", "-d", "--no-workspace", "--name", "box")
    yield world
    # What a guest left behind lives on this host, where no machine takes it along.
    for job in world.json("vm", "jobs", "list", "box")["jobs"]:
        if job["state"] == "running":
            world.succeed("vm", "jobs", "kill", "box", str(job["job"]), "--signal", "KILL")


def begin(world: FakeWorld, script: str, *options: str) -> str:
    return world.succeed("vm", "exec", "box", "-d", *options, "--", "sh", "-c", script).decode().strip()


def jobs(world: FakeWorld) -> dict[str, Any]:
    return {str(job["job"]): job for job in world.json("vm", "jobs", "list", "box")["jobs"]}


def test_a_job_from_its_beginning_to_its_status(box: FakeWorld) -> None:
    go = box.root / "go"
    number = begin(box, f"echo out; echo err >&2; until [ -e {go} ]; do sleep 0.1; done; echo end; exit 7", "-e", "A=b")
    assert number == "1"
    job = jobs(box)["1"]
    assert (job["state"], job["status"], job["ended_at_s"], job["command"][:2]) == ("running", None, None, ["sh", "-c"])
    following = box.start("vm", "jobs", "logs", "box", "1", "-f")
    assert following.stdout is not None
    assert {following.stdout.readline() for _ in range(2)} == {b"out\n", b"err\n"}
    waiting = box.start("vm", "jobs", "wait", "box", "1")
    go.touch()
    waiting.communicate(timeout=60)
    assert waiting.returncode == 7
    assert following.communicate(timeout=60)[0] == b"end\n"
    assert following.returncode == 0
    job = jobs(box)["1"]
    assert (job["state"], job["status"], job["log_bytes"]) == ("ended", 7, len("out\nerr\nend\n"))
    assert abs(job["ended_at_s"] - time.time()) < 600
    assert box.succeed("vm", "jobs", "logs", "box", "1", "-n", "1") == b"end\n"
    assert box.banger("vm", "jobs", "wait", "box", "1").returncode == 7
    ended = box.banger("vm", "jobs", "kill", "box", "1")
    assert (ended.returncode, b"is no longer running" in ended.stderr) == (5, True)
    for words in (("logs", "9"), ("wait", "9"), ("kill", "9")):
        assert box.banger("vm", "jobs", words[0], "box", words[1]).returncode == 3


def test_what_is_not_kept_of_a_long_log_is_told(box: FakeWorld) -> None:
    number = begin(box, "seq 4000000")
    box.succeed("vm", "jobs", "wait", "box", number)
    job = jobs(box)[number]
    whole = b"".join(b"%d\n" % each for each in range(1, 4_000_001))
    assert job["log_bytes"] + job["log_dropped_bytes"] == len(whole)
    assert b" of 29.5 MiB " in box.succeed("vm", "jobs", "list", "box")
    told = box.banger("vm", "jobs", "logs", "box", number)
    assert told.stdout == whole[job["log_dropped_bytes"] :]
    assert b"of this log are not kept" in told.stderr
    end = box.banger("vm", "jobs", "logs", "box", number, "-n", "1")
    assert (end.stdout, end.stderr) == (b"4000000\n", b"")


def test_a_job_outlives_its_client_and_the_daemon(box: FakeWorld) -> None:
    number = begin(box, f"echo begun; until [ -e {box.root}/go ]; do sleep 0.1; done; echo survived")
    box.restart_daemon()
    assert jobs(box)[number]["state"] == "running"
    box.kill_daemon()
    box.start_daemon()
    assert jobs(box)[number]["state"] == "running"
    (box.root / "go").touch()
    assert box.banger("vm", "jobs", "wait", "box", number).returncode == 0
    assert box.succeed("vm", "jobs", "logs", "box", number) == b"begun\nsurvived\n"


@pytest.mark.parametrize("name", ["TERM", "int", "KILL"])
def test_a_signal_goes_to_everything_that_a_job_started(box: FakeWorld, name: str) -> None:
    seconds = str(int(time.monotonic_ns() // 1000 % 10**9 + 10**6))  # nobody else sleeps so long
    cmdline = b"sleep\0%b\0" % seconds.encode()
    number = begin(box, f"(sleep {seconds}); true" if name == "int" else f"sleep {seconds} & sleep 3600; true")
    until(lambda: runs(cmdline))
    box.succeed("vm", "jobs", "kill", "box", number, "--signal", name)
    assert box.banger("vm", "jobs", "wait", "box", number).returncode == 128 + signal.Signals[f"SIG{name.upper()}"]
    assert not runs(cmdline)
    assert jobs(box)[number]["state"] == "ended"


def test_a_job_that_takes_notice_of_a_signal_ends_as_it_wants(box: FakeWorld) -> None:
    number = begin(box, "trap 'echo caught; exit 9' TERM; echo ready; while :; do :; done")
    until(lambda: b"ready" in box.succeed("vm", "jobs", "logs", "box", number))
    box.succeed("vm", "jobs", "kill", "box", number)
    assert box.banger("vm", "jobs", "wait", "box", number).returncode == 9
    assert box.succeed("vm", "jobs", "logs", "box", number) == b"ready\ncaught\n"


def test_what_cannot_begin(box: FakeWorld) -> None:
    assert box.banger("vm", "exec", "box", "-d").returncode == 2
    assert box.banger("vm", "exec", "box", "-d", "-t", "--", "true").returncode == 2
    assert box.banger("vm", "exec", "box", "-d", "--cwd", "/nowhere", "--", "true").returncode == 2
    assert box.banger("vm", "exec", "box", "-d", "--user", "nobody-at-all", "--", "true").returncode != 0
    assert jobs(box) == {}
    missing = box.succeed("vm", "exec", "box", "-d", "--", "no-such-program").decode().strip()
    assert box.banger("vm", "jobs", "wait", "box", missing).returncode == 127
    assert b"no-such-program" in box.succeed("vm", "jobs", "logs", "box", missing)
    builtin = box.succeed("vm", "exec", "box", "-d", "--", "exit", "3").decode().strip()
    assert box.banger("vm", "jobs", "wait", "box", builtin).returncode == 127
    odd = (
        box.succeed("vm", "exec", "box", "-d", "--", "echo", "-n", "a\n b", os.fsdecode(b"\xff"), "'\"$x")
        .decode()
        .strip()
    )
    assert box.banger("vm", "jobs", "wait", "box", odd).returncode == 0
    assert box.succeed("vm", "jobs", "logs", "box", odd) == b"a\n b \xff '\"$x"


def test_a_job_whose_time_is_up(box: FakeWorld) -> None:
    number = begin(box, "echo begun; exec sleep 3600", "--timeout", "1s")
    assert box.banger("vm", "jobs", "wait", "box", number).returncode == 124
    assert box.succeed("vm", "jobs", "logs", "box", number) == b"begun\n"
    assert box.banger("vm", "jobs", "wait", "box", begin(box, "exit 4", "--timeout", "1h")).returncode == 4


def test_many_jobs_at_once_have_numbers_of_their_own(box: FakeWorld) -> None:
    begun = [box.start("vm", "exec", "box", "-d", "--", "echo", str(each)) for each in range(6)]
    numbers = {process.communicate(timeout=60)[0].decode().strip() for process in begun}
    assert numbers == {str(number) for number in range(1, 7)}
    box.succeed("vm", "jobs", "wait", "box", *sorted(numbers))
    said = {box.succeed("vm", "jobs", "logs", "box", number) for number in numbers}
    assert said == {b"%d\n" % each for each in range(6)}


@pytest.mark.skipif(os.geteuid() != 0, reason="a guest whose root is a mapped user has only that user")
def test_the_job_of_another_user(box: FakeWorld) -> None:
    number = begin(box, "id -un; cat /var/log/banger/jobs/1.about", "--user", "nobody", "--cwd", "/")
    box.banger("vm", "jobs", "wait", "box", number)
    said = box.succeed("vm", "jobs", "logs", "box", number)
    assert said.startswith(b"nobody\n")
    assert b"began_s" not in said
    assert jobs(box)[number]["user"] == "nobody"
    running = begin(
        box, f"until [ -e {box.root}/never ]; do sleep 0.1; done & exec sleep 3600", "--user", "nobody", "--cwd", "/"
    )
    following = box.start("vm", "jobs", "logs", "box", running, "-f")
    assert jobs(box)[running]["state"] == "running"
    with pytest.raises(subprocess.TimeoutExpired):
        following.communicate(timeout=1)
    box.succeed("vm", "jobs", "kill", "box", running)
    assert following.communicate(timeout=60)[0] == b""
    assert box.banger("vm", "jobs", "wait", "box", running).returncode == 143


def test_a_job_that_ended_with_its_machine_is_lost(box: FakeWorld) -> None:
    number = begin(box, "echo last words; while :; do sleep 1; done")
    (guest,) = (box.root / "guests").iterdir()
    (guest / "var/log/banger/jobs" / f"{number}.boot").write_text("another\n")
    assert jobs(box)[number]["state"] == "lost"
    assert box.banger("vm", "jobs", "wait", "box", number).returncode == 1
    assert box.succeed("vm", "jobs", "logs", "box", number, "-f") == b"last words\n"
    (guest / "var/log/banger/jobs" / f"{number}.boot").write_text(Path("/proc/sys/kernel/random/boot_id").read_text())


def test_what_a_guest_says_of_its_jobs_is_not_believed(box: FakeWorld) -> None:
    number = begin(box, "true")
    box.succeed("vm", "jobs", "wait", "box", number)
    (guest,) = (box.root / "guests").iterdir()
    place = guest / "var/log/banger/jobs"
    about = (place / "1.about").read_text()
    for name, text in {
        "2": "{}",
        "3": "[" * 100_000,
        "4": "x",
        "5": about.replace('"sh"', '"\\u001b[2Jsh"'),
        "6": about.replace('began_s": ', 'began_s": -'),
    }.items():
        (place / f"{name}.about").write_text(text)
        for kind in ("boot", "pid", "log"):
            (place / f"{name}.{kind}").write_text("")
        (place / f"{name}.status").write_text("999999999999 \x1b[2J\n")
    (place / "5.status").write_text("0 1\n")
    assert set(jobs(box)) == {"1", "5"}
    assert b"\x1b" not in box.succeed("vm", "jobs", "list", "box")


def test_a_vm_with_a_job_is_not_stopped_as_one_that_nobody_uses(world: FakeWorld) -> None:
    world.configure('auto_stop_stale_after = "2s"\n')
    world.environment["BANGER_TEST_INTERVAL_S"] = "0.2"
    world.keep_guests_apart()
    world.start_daemon()
    for name in ("idle", "box"):
        world.succeed("vm", "run", "-q", "-d", "--no-workspace", "--name", name)
    begin(world, f"until [ -e {world.root}/go ]; do sleep 0.1; done")
    until(lambda: {vm["name"]: vm["state"] for vm in world.vms()} == {"idle": "stopped", "box": "running"})
    (world.root / "go").touch()
    until(lambda: {vm["state"] for vm in world.vms()} == {"stopped"})
