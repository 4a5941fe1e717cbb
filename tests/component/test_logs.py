"""Following a console while it is written, rotated, and after its VM died."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest
from tests.component.fake_world import FakeWorld
from tests.component.test_life import until

from banger.hypervisor.console import ConsoleRing

RUN = ("vm", "run", "-d", "--no-workspace", "--name", "box")


@pytest.fixture
def box(fake_world: FakeWorld) -> FakeWorld:
    fake_world.succeed(*RUN)
    return fake_world


def console(world: FakeWorld) -> Path:
    return Path(world.json("vm", "show", "box")["directory"]) / "console.log"


def read_until(process: subprocess.Popen[bytes], end: bytes) -> bytes:
    assert process.stdout is not None
    received = b""
    while not received.endswith(end):
        data = os.read(process.stdout.fileno(), 65536)
        assert data, (received[-100:], end)
        received += data
    return received


def test_nothing_is_lost_or_repeated_across_rotations(box: FakeWorld) -> None:
    ring = ConsoleRing(console(box), limit_bytes=40_000)
    ring.append(b"before\n")
    process = box.start("vm", "logs", "box", "--follow")
    received = read_until(process, b"before\n")
    for number in range(40):
        text = b"".join(b"%06d\n" % line for line in range(number * 1000, (number + 1) * 1000))
        ring.append(text)
        received += read_until(process, text[-7:])
    assert received == b"before\n" + b"".join(b"%06d\n" % line for line in range(40_000))
    ring.append(b"last words")
    ring.close()
    os.kill(box.vms()[0]["pid"], signal.SIGKILL)
    rest, errors = process.communicate(timeout=60)
    assert (process.returncode, rest, errors) == (0, b"last words", b"")


def test_the_console_of_a_machine_that_died(box: FakeWorld) -> None:
    ring = ConsoleRing(console(box))
    ring.append(b"".join(b"line %d\n" % number for number in range(10)))
    ring.close()
    box.succeed("vm", "stop", "box")
    for follow in ((), ("-f",)):
        assert box.succeed("vm", "logs", "box", *follow).count(b"\n") == 10
        assert box.succeed("vm", "logs", "box", *follow, "-n", "2") == b"line 8\nline 9\n"
        assert box.succeed("vm", "logs", "box", *follow, "--tail", "0") == b""
    assert box.banger("vm", "logs", "box", "-f", "--json").returncode == 2
    assert box.banger("vm", "logs", "box", "-n", "-1").returncode == 2


def test_ctrl_c_is_quiet(box: FakeWorld) -> None:
    ring = ConsoleRing(console(box))
    ring.append(b"\x1b[32mready\x1b[0m\r\n\x1b[3")
    process = box.start("vm", "logs", "box", "-f")
    assert read_until(process, b"\n") == b"ready\n"
    ring.append(b"1mred\n")
    ring.close()
    assert read_until(process, b"\n") == b"red\n"
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60) == (b"", b"")
    assert process.returncode == 130


def test_deleting_the_machine_ends_it(box: FakeWorld) -> None:
    ring = ConsoleRing(console(box))
    ring.append(b"hello\n")
    ring.close()
    process = box.start("vm", "logs", "box", "-f")
    assert read_until(process, b"\n") == b"hello\n"
    box.succeed("vm", "delete", "box")
    assert process.communicate(timeout=60) == (b"", b"")
    assert process.returncode == 0
    until(lambda: box.vms() == [])
