"""Real pseudo-terminals: raw mode and the way back, sizes, live progress, the reminder."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from typing import Any

import pytest
from tests.cli.test_sessions import become_ready, prepare, wait_for_hangup
from tests.cli.world import DEADLINE_S, World
from tests.fakes.daemon import Exchange, FakeDaemon, view_error, view_vm

from banger.api import framing

EXEC = "/v1/vms/box/exec"
RUN = "/v1/vms/run"


class Terminal:
    """A pseudo-terminal with a command on it, as its session's controlling terminal."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.master, self.slave = pty.openpty()
        self.text = ""
        self.resize(30, 100)
        self.before = self.modes()

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def modes(self) -> list[Any]:
        return termios.tcgetattr(self.slave)

    def start(self, *words: str) -> None:
        self.process = subprocess.Popen(
            ["setsid", "--ctty", "--wait", *self._world.argv(*words)],
            cwd=self._world.cwd,
            env={**self._world.environment, "TERM": "xterm"},
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
        )
        self._world.started.append(self.process)

    def type(self, keys: bytes) -> None:
        os.write(self.master, keys)

    def expect(self, text: str) -> None:
        """Read until `text` has come."""
        deadline_s = time.monotonic() + DEADLINE_S
        while text not in self.text:
            assert select.select([self.master], [], [], deadline_s - time.monotonic())[0], self.text
            self.text += os.read(self.master, 65536).decode()

    def wait(self) -> int:
        """The command's status, after everything it said was read."""
        status = self.process.wait(DEADLINE_S)
        while select.select([self.master], [], [], 0)[0]:
            self.text += os.read(self.master, 65536).decode()
        return status

    def close(self) -> None:
        os.close(self.master)
        os.close(self.slave)


@pytest.fixture
def terminal(world: World) -> Iterator[Terminal]:
    made = Terminal(world)
    yield made
    made.close()


def is_raw(modes: list[Any]) -> bool:
    return not modes[3] & (termios.ICANON | termios.ECHO | termios.ISIG)


def shell(exchange: Exchange) -> None:
    """Shows each key that was pressed until `q`."""
    exchange.frame(framing.OUTPUT, b"$ ")
    while (received := exchange.next_frame()) is not None:
        if received[0] == framing.CONTROL:
            exchange.frame(framing.OUTPUT, b"<" + received[1] + b">")
        elif received[1] == b"q":
            break
        else:
            exchange.frame(framing.OUTPUT, b"[" + received[1].hex().encode() + b"]")
    exchange.result(3)


def test_a_shell_is_raw_and_the_terminal_comes_back(terminal: Terminal, daemon: FakeDaemon) -> None:
    daemon.streams(EXEC, shell)
    terminal.start("vm", "exec", "box")
    terminal.expect("$ ")
    assert is_raw(terminal.modes())
    for key in (b"\x03", b"\x1a", b"\x1c", b"\x04", b"\x7f"):
        terminal.type(key)
        terminal.expect(f"[{key.hex()}]")
    terminal.resize(50, 120)
    terminal.expect('<{"rows": 50, "columns": 120}>')
    terminal.type(b"q")
    assert terminal.wait() == 3
    assert terminal.modes() == terminal.before
    body = daemon.requests[0].body
    assert body["pty"] == {"rows": 30, "columns": 100}
    assert body["command"] is None
    assert body["environment"] == {"TERM": "xterm"}


@pytest.mark.parametrize("how", ["error", "lost", "signal", "twice"])
def test_the_terminal_comes_back_when_things_go_wrong(terminal: Terminal, daemon: FakeDaemon, how: str) -> None:
    def handle(exchange: Exchange) -> None:
        exchange.frame(framing.OUTPUT, b"$ ")
        received = exchange.next_frame()
        if how == "error":
            exchange.frame(framing.ERROR, view_error("unavailable", "the guest is gone"))
            exchange.end()
        elif how == "twice":
            assert received is not None
            assert received[0] == framing.CONTROL
            exchange.frame(framing.OUTPUT, b"once ")
            assert wait_for_hangup(exchange) == []
        elif how == "signal":
            assert received is None

    daemon.streams(EXEC, handle)
    terminal.start("vm", "exec", "box")
    terminal.expect("$ ")
    assert is_raw(terminal.modes())
    children = f"/proc/{terminal.process.pid}/task/{terminal.process.pid}/children"
    pid = terminal.process.pid
    with open(children) as file:
        pid = int((file.read().split() or [str(pid)])[0])
    if how == "signal":
        os.kill(pid, signal.SIGHUP)
    elif how == "twice":
        os.kill(pid, signal.SIGTERM)
        terminal.expect("once")
        os.kill(pid, signal.SIGTERM)
    else:
        terminal.type(b"x")
    status = {"error": 8, "lost": 8, "signal": 128 + signal.SIGHUP, "twice": 128 + signal.SIGTERM}[how]
    assert terminal.wait() == status
    assert terminal.modes() == terminal.before
    if how in ("error", "lost"):
        assert "\r\nbanger: " in terminal.text.replace("$ ", "\r\n")


def test_ctrl_c_without_a_terminal_of_its_own_is_a_signal(terminal: Terminal, daemon: FakeDaemon) -> None:
    def handle(exchange: Exchange) -> None:
        exchange.frame(framing.OUTPUT, b"running\n")
        assert exchange.control() == {"signal": signal.SIGINT}
        exchange.result(130, signal=2)

    daemon.streams(EXEC, handle)
    terminal.start("vm", "exec", "box", "--", "make")
    terminal.expect("running")
    assert terminal.modes() == terminal.before
    terminal.type(b"\x03")
    assert terminal.wait() == 130
    assert daemon.requests[0].body["pty"] is None


def test_lines_typed_without_a_terminal_of_its_own(terminal: Terminal, daemon: FakeDaemon) -> None:
    def handle(exchange: Exchange) -> None:
        exchange.frame(framing.OUTPUT, b"name? ")
        assert exchange.next_frame() == (framing.INPUT, b"me\n")
        assert exchange.next_frame() == (framing.INPUT_END, b"")
        exchange.result(0)

    daemon.streams(EXEC, handle)
    terminal.start("vm", "exec", "box", "--", "read")
    terminal.expect("name?")
    terminal.type(b"me\n\x04")
    assert terminal.wait() == 0


def test_ctrl_c_during_preparation(terminal: Terminal, daemon: FakeDaemon) -> None:
    def handle(exchange: Exchange) -> None:
        prepare(exchange)
        assert wait_for_hangup(exchange) == []

    daemon.streams(RUN, handle)
    terminal.start("vm", "run", "--rm", "--no-workspace")
    terminal.expect("booting")
    terminal.type(b"\x03")
    assert terminal.wait() == 130
    assert terminal.text.endswith("\r\x1b[Kbanger: cancelled\r\n")
    assert terminal.modes() == terminal.before


def test_a_run_with_live_progress_a_shell_and_a_reminder(terminal: Terminal, daemon: FakeDaemon) -> None:
    def handle(exchange: Exchange) -> None:
        become_ready(exchange)
        exchange.frame(framing.OUTPUT, b"$ ")
        assert exchange.next_frame() == (framing.INPUT, b"x")
        exchange.result(0, vm=view_vm("otter"))

    daemon.streams(RUN, handle)
    terminal.start("vm", "run", "--no-workspace")
    terminal.expect("$ ")
    assert is_raw(terminal.modes())
    terminal.type(b"x")
    assert terminal.wait() == 0
    assert terminal.modes() == terminal.before
    assert "\r\x1b[Kbooting" in terminal.text
    assert "banger: KVM does not run a guest here\r\n" in terminal.text
    assert "otter is ready in 2.5 s" in terminal.text
    assert "otter is still running: `banger vm exec otter` gets back in" in terminal.text
    assert daemon.requests[0].body["pty"] == {"rows": 30, "columns": 100}


def test_what_comes_after_a_shell_leaves_no_trace(terminal: Terminal, daemon: FakeDaemon) -> None:
    def handle(exchange: Exchange) -> None:
        become_ready(exchange)
        exchange.frame(framing.OUTPUT, b"$ ")
        assert exchange.next_frame() == (framing.INPUT, b"x")
        exchange.frame(framing.OUTPUT, b"bye\r\n")
        stage = {"event": "stage", "stage": "stop", "text": "stopping otter", "state": "begin"}
        exchange.frame(framing.EVENT, stage)
        exchange.frame(framing.EVENT, {**stage, "state": "end", "elapsed_s": 3.0})
        exchange.result(5)

    daemon.streams(RUN, handle)
    terminal.start("vm", "run", "--rm", "--no-workspace")
    terminal.expect("$ ")
    terminal.type(b"x")
    assert terminal.wait() == 5
    assert "\r\x1b[Kstopping otter" in terminal.text
    assert terminal.text.endswith("\r\x1b[K")
    assert terminal.modes() == terminal.before


def test_keys_typed_during_preparation_reach_the_shell(terminal: Terminal, daemon: FakeDaemon) -> None:
    def handle(exchange: Exchange) -> None:
        prepare(exchange)
        terminal.type(b"early\n")
        become_ready(exchange)
        received = exchange.next_frame()
        assert received is not None
        assert received[0] == framing.INPUT
        assert received[1].rstrip(b"\r\n") == b"early"
        exchange.result(0)

    daemon.streams(RUN, handle)
    terminal.start("vm", "run", "--rm", "--no-workspace")
    assert terminal.wait() == 0


def test_colours_only_where_they_are_wanted(terminal: Terminal, daemon: FakeDaemon, world: World) -> None:
    daemon.answers("GET", "/v1/vms", {"vms": [view_vm()]})
    terminal.start("vm", "list")
    assert terminal.wait() == 0
    assert "\x1b[1mID" in terminal.text
    assert b"\x1b" not in world.run("vm", "list", environment={"TERM": "xterm"}).stdout
