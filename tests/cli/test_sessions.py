"""Commands in a guest: bytes, status, signals, and every way in which a session can end early."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading

import pytest
from tests.cli.world import DEADLINE_S, World
from tests.fakes.daemon import Exchange, FakeDaemon, view_error, view_vm

from banger.api import framing
from banger.cli.exits import OF_KIND

EXEC = "/v1/vms/box/exec"
RUN = "/v1/vms/run"


def credit(exchange: Exchange, count: int) -> None:
    exchange.frame(framing.WINDOW, count.to_bytes(4, "big"))


def echo(exchange: Exchange) -> None:
    """A `cat` that gives credit back for what it takes, and says on standard error how much that was."""
    taken = 0
    unreturned = framing.INPUT_WINDOW
    while (received := exchange.next_frame()) is not None and received[0] == framing.INPUT:
        unreturned -= len(received[1])
        assert unreturned >= 0, "the client sent more than its window"
        taken += len(received[1])
        exchange.frame(framing.OUTPUT, received[1])
        if unreturned < framing.INPUT_WINDOW // 2:
            credit(exchange, framing.INPUT_WINDOW - unreturned)
            unreturned = framing.INPUT_WINDOW
    assert received == (framing.INPUT_END, b"")
    exchange.frame(framing.ERROR_OUTPUT, b"%d\n" % taken)
    exchange.result(0)


def wait_for_hangup(exchange: Exchange) -> list[tuple[int, bytes]]:
    frames: list[tuple[int, bytes]] = []
    while (received := exchange.next_frame()) is not None:
        frames.append(received)
    return frames


def test_bytes_pass_through_unchanged_both_ways(world: World, daemon: FakeDaemon) -> None:
    daemon.streams(EXEC, echo)
    data = os.urandom(3 << 20)
    done = world.run("vm", "exec", "box", "cat", stdin=data)
    assert (done.returncode, done.stderr) == (0, b"%d\n" % len(data))
    assert done.stdout == data


def test_input_and_output_may_be_files(world: World, daemon: FakeDaemon) -> None:
    daemon.streams(EXEC, echo)
    data = os.urandom(1 << 20)
    (world.cwd / "in").write_bytes(data)
    with (world.cwd / "in").open("rb") as source, (world.cwd / "out").open("wb") as target:
        process = world.start("vm", "exec", "box", "cat", stdin=source.fileno(), stdout=target.fileno())
        assert process.wait(DEADLINE_S) == 0
    assert (world.cwd / "out").read_bytes() == data


def test_large_frames_and_both_streams(world: World, daemon: FakeDaemon) -> None:
    out, err = os.urandom(framing.FRAME_LIMIT), os.urandom(framing.FRAME_LIMIT)

    def handle(exchange: Exchange) -> None:
        exchange.frame(framing.OUTPUT, out)
        exchange.frame(framing.ERROR_OUTPUT, err)
        exchange.frame(framing.OUTPUT, b"")
        exchange.frame(framing.OUTPUT, b"end")
        exchange.result(7)

    daemon.streams(EXEC, handle)
    done = world.run("vm", "exec", "box", "x")
    assert (done.returncode, done.stdout == out + b"end", done.stderr == err) == (7, True, True)


@pytest.mark.parametrize("status", [0, 1, 42, 127, 128 + 9, 255])
def test_the_status_is_the_commands(world: World, daemon: FakeDaemon, status: int) -> None:
    daemon.streams(EXEC, lambda exchange: exchange.result(status))
    assert world.run("vm", "exec", "box", "--", "x").returncode == status


def test_what_is_asked_of_the_daemon(world: World, daemon: FakeDaemon) -> None:
    daemon.streams(EXEC, lambda exchange: exchange.result(0))
    words = ("--cwd", "/tmp", "--user", "nobody", "-e", "A=ä b", "--", "sh", "-c", "exit 0", "")
    assert world.run("vm", "exec", "box", *words).returncode == 0
    assert daemon.requests[0].body == {
        "command": ["sh", "-c", "exit 0", ""],
        "environment": {"A": "ä b"},
        "cwd": "/tmp",
        "user": "nobody",
        "pty": None,
        "stdin": True,
    }


def test_a_terminal_without_one_of_ours(world: World, daemon: FakeDaemon) -> None:
    daemon.streams(EXEC, lambda exchange: exchange.result(0))
    assert world.run("vm", "exec", "box", "-t", "top", environment={"TERM": "screen"}).returncode == 0
    assert daemon.requests[0].body["pty"] == {"rows": 24, "columns": 80}
    assert daemon.requests[0].body["environment"] == {"TERM": "screen"}


def test_a_refusal(world: World, daemon: FakeDaemon) -> None:
    error = {"error": view_error("wrong_state", "box is stopped", hint="start it")}
    daemon.answers("POST", EXEC, error, status=400)
    done = world.run("vm", "exec", "box", "--", "x", stdin=b"x" * 100_000)
    assert done.returncode == OF_KIND["wrong_state"]
    assert done.stderr.decode() == "banger: box is stopped (op-0123456789)\n  hint: start it\n"


def test_an_error_after_output(world: World, daemon: FakeDaemon) -> None:
    def handle(exchange: Exchange) -> None:
        exchange.frame(framing.OUTPUT, b"so far")
        exchange.frame(framing.ERROR, view_error("unavailable", "the guest is gone"))
        exchange.end()

    daemon.streams(EXEC, handle)
    done = world.run("vm", "exec", "box", "--", "x")
    assert (done.returncode, done.stdout) == (OF_KIND["unavailable"], b"so far")
    assert done.stderr.startswith(b"banger: the guest is gone")


def test_a_daemon_that_dies_in_the_middle(world: World, daemon: FakeDaemon) -> None:
    daemon.streams(EXEC, lambda exchange: exchange.frame(framing.OUTPUT, b"half"))
    done = world.run("vm", "exec", "box", "--", "x")
    assert (done.returncode, done.stdout) == (OF_KIND["unavailable"], b"half")
    assert done.stderr.startswith(b"banger: the connection to the daemon was lost")


def test_a_reader_that_leaves_hangs_up(world: World, daemon: FakeDaemon) -> None:
    hung_up = threading.Event()

    def handle(exchange: Exchange) -> None:
        try:
            while True:
                exchange.frame(framing.OUTPUT, b"y\n" * 1000)
        except OSError:
            hung_up.set()

    daemon.streams(EXEC, handle)
    line = '"$@" vm exec box -- yes | head -n 1; echo "${PIPESTATUS[0]}"'
    argv = ["bash", "-c", line, "bash", *world.argv()]
    done = subprocess.run(
        argv, env=world.environment, cwd=world.cwd, capture_output=True, timeout=DEADLINE_S, check=True
    )
    assert (done.stdout, done.stderr) == (b"y\n141\n", b"")
    assert hung_up.wait(DEADLINE_S)


def running(exchange: Exchange) -> None:
    exchange.frame(framing.OUTPUT, b"running\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_a_signal_goes_to_the_command(world: World, daemon: FakeDaemon, number: signal.Signals) -> None:
    def handle(exchange: Exchange) -> None:
        running(exchange)
        assert exchange.control() == {"signal": number}
        exchange.frame(framing.ERROR_OUTPUT, b"caught\n")
        exchange.result(128 + number, signal=int(number))

    daemon.streams(EXEC, handle)
    process = world.start("vm", "exec", "box", "--", "x")
    assert process.stdout is not None
    assert process.stdout.read(8) == b"running\n"
    process.send_signal(number)
    assert process.wait(DEADLINE_S) == 128 + number
    assert process.stderr is not None
    assert process.stderr.read() == b"caught\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_second_signal_gives_the_command_up(world: World, daemon: FakeDaemon, number: signal.Signals) -> None:
    def handle(exchange: Exchange) -> None:
        running(exchange)
        assert exchange.control() == {"signal": number}
        exchange.frame(framing.OUTPUT, b"ignored\n")
        assert wait_for_hangup(exchange) == []

    daemon.streams(EXEC, handle)
    process = world.start("vm", "exec", "box", "--", "x")
    assert process.stdout is not None
    assert process.stdout.read(8) == b"running\n"
    process.send_signal(number)
    assert process.stdout.read(8) == b"ignored\n"
    process.send_signal(number)
    assert process.wait(DEADLINE_S) == 128 + number
    assert process.stderr is not None
    assert process.stderr.read() == b"banger: cancelled\n"


def test_signals_reach_the_command_while_nobody_reads_its_output(world: World, daemon: FakeDaemon) -> None:
    def handle(exchange: Exchange) -> None:
        running(exchange)
        exchange.frame(framing.OUTPUT, b"x" * framing.FRAME_LIMIT)
        assert exchange.control() == {"signal": signal.SIGINT}
        exchange.result(130)

    daemon.streams(EXEC, handle)
    process = world.start("vm", "exec", "box", "--", "x")
    assert process.stdout is not None
    assert process.stdout.read(8) == b"running\n"
    process.send_signal(signal.SIGINT)
    rest = b""
    while data := process.stdout.read(65536):
        rest += data
    assert process.wait(DEADLINE_S) == 130
    assert len(rest) == framing.FRAME_LIMIT


def test_an_ignored_signal_stays_ignored(world: World, daemon: FakeDaemon) -> None:
    asked = threading.Event()

    def handle(exchange: Exchange) -> None:
        running(exchange)
        assert asked.wait(DEADLINE_S)
        assert exchange.control() == {"signal": signal.SIGTERM}
        exchange.result(0)

    daemon.streams(EXEC, handle)
    process = world.start("vm", "exec", "box", "--", "x", ignoring=signal.SIGINT)
    assert process.stdout is not None
    assert process.stdout.read(8) == b"running\n"
    process.send_signal(signal.SIGINT)
    asked.set()
    process.send_signal(signal.SIGTERM)
    assert process.wait(DEADLINE_S) == 0


def prepare(exchange: Exchange) -> None:
    event = {"event": "stage", "stage": "boot", "text": "booting", "state": "begin"}
    exchange.frame(framing.EVENT, event)


def become_ready(exchange: Exchange) -> None:
    prepare(exchange)
    exchange.frame(framing.EVENT, {"event": "notice", "text": "KVM does not run a guest here"})
    exchange.frame(framing.EVENT, {"event": "vm", "vm": view_vm("otter")})
    exchange.frame(framing.EVENT, {"event": "ready", "elapsed_s": 2.5})


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_during_preparation_hangs_up(world: World, daemon: FakeDaemon, number: signal.Signals) -> None:
    def handle(exchange: Exchange) -> None:
        prepare(exchange)
        assert wait_for_hangup(exchange) == []

    daemon.streams(RUN, handle)
    process = world.start("vm", "run", "--rm", "--no-workspace", "--", "x")
    assert process.stderr is not None
    assert process.stderr.read(8) == b"booting\n"
    process.send_signal(number)
    assert process.wait(DEADLINE_S) == 128 + number
    assert process.stderr.read() == b"banger: cancelled\n"


def test_ctrl_c_during_progress(world: World, daemon: FakeDaemon) -> None:
    def handle(exchange: Exchange) -> None:
        exchange.begin()
        event = {"event": "stage", "stage": "a", "text": "fetching", "state": "begin"}
        exchange.chunk(json.dumps(event).encode() + b"\n")
        assert exchange.reader.read() == b""

    daemon.on("POST", "/v1/images/pull", handle)
    process = world.start("image", "pull")
    assert process.stderr is not None
    assert process.stderr.read(9) == b"fetching\n"
    process.send_signal(signal.SIGINT)
    assert process.wait(DEADLINE_S) == 130
    assert process.stderr.read() == b"banger: cancelled\n"


def test_run_with_a_command(world: World, daemon: FakeDaemon) -> None:
    def handle(exchange: Exchange) -> None:
        become_ready(exchange)
        assert exchange.next_frame() == (framing.INPUT, b"typed")
        assert exchange.next_frame() == (framing.INPUT_END, b"")
        exchange.frame(framing.OUTPUT, b"out")
        exchange.result(42, vm=view_vm("otter"))

    daemon.streams(RUN, handle)
    (world.cwd / ".git").mkdir()
    sizes = ("--vcpu", "3", "--memory", "1G", "--disk", "2G", "--image", "tiny", "--name", "otter", "--nat")
    done = world.run("vm", "run", *sizes, "-e", "A=1", "--", "sh", "-c", "x", stdin=b"typed")
    assert (done.returncode, done.stdout) == (42, b"out")
    assert done.stderr.decode() == "booting\nbanger: KVM does not run a guest here\n"
    assert daemon.requests[0].body == {
        "name": "otter",
        "path": str(world.cwd),
        "image": "tiny",
        "vcpu": 3,
        "memory_mib": 1024,
        "disk_bytes": 2 << 30,
        "nat": True,
        "ttl_s": None,
        "ephemeral": False,
        "detach": False,
        "command": ["sh", "-c", "x"],
        "pty": None,
        "stdin": True,
        "environment": {"A": "1"},
    }


def test_run_detached(world: World, daemon: FakeDaemon) -> None:
    def handle(exchange: Exchange) -> None:
        become_ready(exchange)
        exchange.result(0, vm=view_vm("otter"))

    daemon.streams(RUN, handle)
    done = world.run("vm", "run", "-d", "-q")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"otter\n", b"")
    body = daemon.requests[0].body
    assert (body["detach"], body["stdin"], body["pty"], body["command"], body["path"]) == (
        True,
        False,
        None,
        None,
        None,
    )
    loud = world.run("vm", "run", "-d").stderr.decode().splitlines()
    assert loud[0] == "banger: you are not in a git repository: the VM gets no workspace"
    assert loud[-1] == "otter is ready in 2.5 s (2 vCPU | 2 GiB memory | 8 GiB disk)"


def test_run_refused_by_the_daemon(world: World, daemon: FakeDaemon) -> None:
    error = view_error("invalid", "the repository is bare", hint="clone it")

    def handle(exchange: Exchange) -> None:
        exchange.frame(framing.ERROR, error)
        exchange.end()

    daemon.streams(RUN, handle)
    done = world.run("vm", "run", "--rm", ".", "--", "x")
    assert done.returncode == 2
    assert done.stderr.decode() == "banger: the repository is bare (op-0123456789)\n  hint: clone it\n"


def test_export_to_standard_output(world: World, daemon: FakeDaemon) -> None:
    patch = os.urandom(2 << 20)
    modes = {"old_mode": "100644", "new_mode": "100755"}
    files = [{"path": "a", "change": "modified", "binary": True, "additions": 0, "deletions": 0, **modes}]
    result = {
        "findings": [{"kind": "modes_changed", "title": "made executable", "count": 1, "paths": ["a"]}],
        "files": files,
        "file_count": 1,
        "additions": 3,
        "deletions": 1,
        "size_bytes": len(patch),
        "base_commit": "b" * 40,
    }

    def handle(exchange: Exchange) -> None:
        exchange.frame(framing.EVENT, {"event": "stage", "stage": "x", "text": "collecting", "state": "begin"})
        for start in range(0, len(patch), 300_000):
            exchange.frame(framing.OUTPUT, patch[start : start + 300_000])
        exchange.frame(framing.RESULT, result)
        exchange.end()

    daemon.streams("/v1/vms/box/workspace/export", handle)
    words = ("vm", "workspace", "export", "box", "--base-commit", "HEAD~1", "--guest-path", "/root/repo")
    done = world.run(*words)
    assert done.returncode == 0
    assert done.stdout == patch
    assert done.stderr.decode() == (
        "collecting\n  M a (binary, executable)\n"
        "1 file changed, 3 lines added, 1 removed, 2 MiB, since bbbbbbbbbbbb\n"
        "Worth a look:\n  made executable:\n    a\n"
    )
    assert daemon.requests[0].body == {"guest_path": "/root/repo", "base_commit": "HEAD~1"}
    done = world.run(*words, "-q", "--output", "fix.patch")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert (world.cwd / "fix.patch").read_bytes() == patch
    assert [path.name for path in world.cwd.iterdir()] == ["fix.patch"]


def test_an_export_that_breaks_off_leaves_the_old_file(world: World, daemon: FakeDaemon) -> None:
    (world.cwd / "fix.patch").write_bytes(b"old")
    daemon.streams("/v1/vms/box/workspace/export", lambda exchange: exchange.frame(framing.OUTPUT, b"new"))
    done = world.run("vm", "workspace", "export", "box", "--output", "fix.patch")
    assert done.returncode == OF_KIND["unavailable"]
    assert (world.cwd / "fix.patch").read_bytes() == b"old"
    assert [path.name for path in world.cwd.iterdir()] == ["fix.patch"]


def test_an_export_that_cannot_be_written(world: World, daemon: FakeDaemon) -> None:
    done = world.run("vm", "workspace", "export", "box", "--output", "no/such/dir/fix.patch")
    assert done.returncode == 2
    assert b"cannot be written" in done.stderr


def test_a_connection_to_a_port(world: World, daemon: FakeDaemon) -> None:
    daemon.streams("/v1/vms/box/connect", echo)
    done = world.run("internal-connect", "box", "22", stdin=b"SSH-2.0-x\r\n")
    assert (done.returncode, done.stdout) == (0, b"SSH-2.0-x\r\n")
    assert daemon.requests[0].body == {"port": 22, "wait_s": 60.0}


def test_a_connection_that_is_waited_for(world: World, daemon: FakeDaemon) -> None:
    def handle(exchange: Exchange) -> None:
        exchange.frame(framing.EVENT, {"event": "notice", "text": "waiting"})
        exchange.result(0)

    daemon.streams("/v1/vms/box/connect", handle)
    done = world.run("internal-connect", "box", "22")
    assert (done.returncode, done.stderr) == (0, b"banger: waiting\n")


def test_a_connection_ends_at_the_first_signal(world: World, daemon: FakeDaemon) -> None:
    def handle(exchange: Exchange) -> None:
        running(exchange)
        assert wait_for_hangup(exchange) == []

    daemon.streams("/v1/vms/box/connect", handle)
    process = world.start("internal-connect", "box", "22")
    assert process.stdout is not None
    assert process.stdout.read(8) == b"running\n"
    process.send_signal(signal.SIGHUP)
    assert process.wait(DEADLINE_S) == 128 + signal.SIGHUP
    assert process.stderr is not None
    assert process.stderr.read() == b""


def test_ssh_gets_its_arguments(world: World, daemon: FakeDaemon) -> None:
    plan = {"vm": view_vm(), "user": "root", "host_alias": "box.banger", "options": ["LogLevel=ERROR"]}
    daemon.answers("GET", "/v1/vms/box/ssh", plan)
    fake = world.cwd / "bin"
    fake.mkdir()
    (fake / "ssh").write_text(f"#!{sys.executable}\nimport sys, json\nprint(json.dumps(sys.argv[1:]))\nsys.exit(42)\n")
    (fake / "ssh").chmod(0o755)
    path = {"PATH": f"{fake}:{world.environment['PATH']}"}
    done = world.run("vm", "ssh", "box", "--", "echo", "a  b", environment=path)
    argv = json.loads(done.stdout)
    assert done.returncode == 42
    assert argv[:4] == ["-F", "none", "-o", "LogLevel=ERROR"]
    assert argv[-6:] == ["-l", "root", "--", "box.banger", "echo", "'a  b'"]
    printed = world.run("vm", "ssh", "box", "--print-config").stdout.decode()
    assert printed.startswith(
        "Host box.banger\n  LogLevel ERROR\n  User root\n  ProxyCommand /usr/bin/env BANGER_HOME="
    )


def test_no_ssh_on_this_computer(world: World, daemon: FakeDaemon) -> None:
    plan = {"vm": view_vm(), "user": "root", "host_alias": "box.banger", "options": []}
    daemon.answers("GET", "/v1/vms/box/ssh", plan)
    argv = [sys.executable, *world.argv("vm", "ssh", "box")[1:]]
    environment = {**world.environment, "PATH": str(world.cwd)}
    done = subprocess.run(argv, env=environment, cwd=world.cwd, capture_output=True, timeout=DEADLINE_S, check=False)
    assert done.returncode == OF_KIND["unavailable"]
    assert b"openssh-client" in done.stderr
