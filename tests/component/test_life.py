"""The whole life of machines through the real command line and daemon, with a fake VMM."""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from tests.component.fake_world import FakeWorld

RUN = ("vm", "run", "-d", "--no-workspace")


def test_run_exec_stop_start_delete(fake_world: FakeWorld) -> None:
    assert fake_world.succeed(*RUN, "--name", "box") == b"box\n"
    assert fake_world.succeed("vm", "exec", "box", "--cwd", "/", "--", "echo", "hi") == b"hi\n"
    data = os.urandom(1_000_000)
    assert fake_world.succeed("vm", "exec", "box", "--cwd", "/", "--", "cat", stdin=data) == data
    assert fake_world.banger("vm", "exec", "box", "--cwd", "/", "--", "sh", "-c", "exit 3").returncode == 3
    odd = b"caf\xe9"
    words = ("-e", os.fsdecode(b"ODD=" + odd), "--", "sh", "-c", 'printf %s "$0$ODD"', os.fsdecode(odd))
    assert fake_world.succeed("vm", "exec", "box", "--cwd", "/", *words) == 2 * odd
    for program, status in (("no-such-program", 127), ("/etc/passwd", 126), ("/etc", 126)):
        done = fake_world.banger("vm", "exec", "box", "--cwd", "/", "--", program)
        assert (done.returncode, program in done.stderr.decode()) == (status, True), done
        run = fake_world.banger("vm", "run", "--rm", "--no-workspace", "--", program)
        assert run.returncode == status, run
    fake_world.succeed("vm", "stop", "box")
    assert fake_world.vms()[0]["state"] == "stopped"
    fake_world.succeed("vm", "start", "box")
    detail = fake_world.json("vm", "show", "box")
    assert detail["state"] == "running"
    assert detail["id"].startswith(detail["id"][:8])
    assert fake_world.succeed("vm", "exec", detail["id"][:8], "--cwd", "/", "--", "echo", "id") == b"id\n"
    fake_world.succeed("vm", "delete", "box")


def test_refusals_before_anything_exists(fake_world: FakeWorld) -> None:
    for arguments, status in (
        (("vm", "run", "-d", "--rm"), 2),
        (("vm", "run", "-d", "--", "true"), 2),
        (("vm", "run", "--name", "Not-A-Label", "-d"), 2),
        (("vm", "run", "--memory", "1K", "-d"), 2),
        (("vm", "run", "--memory", "9999T", "-d"), 2),
        (("vm", "run", "--disk", "1M", "-d"), 2),
        (("vm", "run", "--vcpu", "0", "-d"), 2),
        (("vm", "run", "/no/such/path", "-d"), 2),
        (("vm", "run", "-d", str(fake_world.root)), 2),
        (("vm", "run", "--image", "unknown", "-d", "--no-workspace"), 2),
        (("vm", "create", "--image", "unknown"), 2),
        (("vm", "run", "--memory", "64M", "-d", "--no-workspace"), 2),
        (("vm", "run", "--memory", "17G", "-d", "--no-workspace"), 2),
        (("vm", "create", "--vcpu", "9"), 2),
        (("vm", "exec", "nobody", "--", "true"), 3),
        (("vm", "stop", "nobody"), 3),
    ):
        done = fake_world.banger(*arguments)
        assert done.returncode == status, (arguments, done)
        assert b"Traceback" not in done.stderr
        assert b"hint" in done.stderr.lower() or len(done.stderr.splitlines()) >= 2, (arguments, done.stderr)
        fake_world.check_nothing_left()


def test_twenty_clients_and_one_name(fake_world: FakeWorld) -> None:
    with ThreadPoolExecutor(10) as pool:
        statuses = list(pool.map(lambda _: fake_world.banger(*RUN, "--name", "one").returncode, range(20)))
    assert sorted(statuses) == [0] + [2] * 19
    assert [vm["name"] for vm in fake_world.vms()] == ["one"]


def test_several_targets_are_reported_in_order_and_the_good_ones_proceed(fake_world: FakeWorld) -> None:
    for name in ("a", "b"):
        fake_world.succeed(*RUN, "--name", name)
    done = fake_world.banger("vm", "stop", "b", "nobody", "a")
    assert done.returncode == 3
    assert {vm["state"] for vm in fake_world.vms()} == {"stopped"}


def test_a_client_that_hangs_up_takes_its_command_with_it(fake_world: FakeWorld) -> None:
    fake_world.succeed(*RUN, "--name", "box")
    process = fake_world.start("vm", "exec", "box", "--cwd", "/", "--", "sleep", "3601")
    until(lambda: runs(b"sleep\x003601\x00"))
    process.kill()
    process.communicate()
    until(lambda: not runs(b"sleep\x003601\x00"))


def test_signals_reach_the_command(fake_world: FakeWorld) -> None:
    fake_world.succeed(*RUN, "--name", "box")
    script = "trap 'echo caught; exit 33' INT; echo ready; while :; do sleep 0.05; done"
    process = fake_world.start("vm", "exec", "box", "--cwd", "/", "--", "sh", "-c", script)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    assert (process.returncode, output) == (33, b"caught\n")


def test_a_stalled_reader_stalls_nobody_else(fake_world: FakeWorld) -> None:
    fake_world.succeed(*RUN, "--name", "box")
    stalled = fake_world.start("vm", "exec", "box", "--cwd", "/", "--", "cat", "/dev/zero")
    time.sleep(0.5)
    for _ in range(5):
        assert fake_world.succeed("vm", "exec", "box", "--cwd", "/", "--", "echo", "hi") == b"hi\n"
    stalled.kill()
    stalled.communicate()


def test_machines_survive_the_daemon(fake_world: FakeWorld) -> None:
    fake_world.succeed(*RUN, "--name", "box")
    pid = fake_world.vms()[0]["pid"]
    fake_world.kill_daemon()
    fake_world.start_daemon()
    (vm,) = fake_world.vms()
    assert (vm["state"], vm["pid"]) == ("running", pid)
    assert fake_world.succeed("vm", "exec", "box", "--cwd", "/", "--", "echo", "hi") == b"hi\n"


def test_a_vmm_that_dies_is_noticed(fake_world: FakeWorld) -> None:
    fake_world.succeed(*RUN, "--name", "box")
    os.kill(fake_world.vms()[0]["pid"], signal.SIGKILL)
    until(lambda: fake_world.vms()[0]["state"] == "stopped")
    fake_world.succeed("vm", "start", "box")


def test_a_vmm_that_died_while_no_daemon_ran_is_noticed(fake_world: FakeWorld) -> None:
    fake_world.succeed(*RUN, "--name", "box")
    pid = fake_world.vms()[0]["pid"]
    fake_world.kill_daemon()
    os.kill(pid, signal.SIGKILL)
    fake_world.start_daemon()
    assert fake_world.vms()[0]["state"] == "stopped"


def test_an_orderly_daemon_stop_ends_requests_and_keeps_machines(fake_world: FakeWorld) -> None:
    fake_world.succeed(*RUN, "--name", "box")
    process = fake_world.start("vm", "run", "--rm", "--no-workspace", "--name", "gone", "--", "sleep", "3602")
    until(lambda: runs(b"sleep\x003602\x00"))
    assert fake_world.daemon is not None
    fake_world.daemon.terminate()
    assert fake_world.daemon.wait(30) == 0
    process.communicate(timeout=30)
    assert process.returncode == 8
    fake_world.start_daemon()
    assert [vm["name"] for vm in fake_world.vms()] == ["box"]


def test_only_one_daemon(fake_world: FakeWorld) -> None:
    other = FakeWorld(fake_world.root, cache=fake_world.root.parent / "cache")
    other.start_daemon()  # says that a daemon answers, which is true, and goes
    assert other.daemon is not None
    assert other.daemon.wait(30) == 0
    assert fake_world.json("daemon", "status")["daemon"]["pid"] == fake_world.daemon_pid()


def runs(cmdline: bytes) -> bool:
    """Does a program run with exactly these arguments?"""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if path.read_bytes() == cmdline:
                return True
    return False


def until(condition: object, *, deadline_s: float = 30) -> None:
    assert callable(condition)
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)
