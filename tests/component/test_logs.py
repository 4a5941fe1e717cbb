"""Following a console while it is written, rotated, and after its VM died."""

from __future__ import annotations

import json
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


@pytest.fixture
def two(box: FakeWorld) -> FakeWorld:
    box.succeed("vm", "run", "-d", "--no-workspace", "--name", "otter")
    for name in ("box", "otter"):
        print_on(box, name, f"{name} begins\n{name} goes on\n".encode())
    return box


def print_on(world: FakeWorld, name: str, text: bytes) -> None:
    ring = ConsoleRing(Path(world.json("vm", "show", name)["directory"]) / "console.log")
    ring.append(text)
    ring.close()


def test_several_consoles_one_after_the_other(two: FakeWorld) -> None:
    identity = two.json("vm", "show", "otter")["id"]
    assert two.succeed("vm", "logs", identity, "box", "-n", "1") == (
        b"==> otter <==\notter goes on\n\n==> box <==\nbox goes on\n"
    )
    done = two.banger("vm", "logs", "nobody", "box", "otter", "-n", "0")
    assert (done.returncode, done.stdout) == (3, b"==> box <==\n\n==> otter <==\n")
    assert done.stderr.startswith(b"banger: there is no VM nobody")
    done = two.banger("vm", "logs", "box", "nobody", "otter", "--json")
    good, bad, other = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (3, b"")
    assert good == {"vm": "box", "console": "box begins\nbox goes on\n"}
    assert (bad["ref"], bad["error"]["kind"], other["vm"]) == ("nobody", "not_found", "otter")


def test_several_consoles_side_by_side(two: FakeWorld) -> None:
    process = two.start("vm", "logs", "otter", "nobody", "box", "-f", "-n", "1")
    received = read_until(process, b"goes on\n")
    if received.count(b"\n") < 2:
        received += read_until(process, b"goes on\n")
    assert sorted(received.splitlines()) == [b"box | box goes on", b"otter | otter goes on"]
    print_on(two, "box", b"half a")
    print_on(two, "otter", b"whole\n")
    assert read_until(process, b"\n") == b"otter | whole\n"
    print_on(two, "box", b" line\nand the rest")
    assert read_until(process, b"\n") == b"box | half a line\n"
    two.succeed("vm", "stop", "box")
    assert read_until(process, b"\n") == b"box | and the rest\n"
    two.succeed("vm", "delete", "otter")
    rest, errors = process.communicate(timeout=60)
    assert (process.returncode, rest) == (3, b"")
    assert errors.startswith(b"banger: there is no VM nobody")


def test_ctrl_c_while_several_are_followed(two: FakeWorld) -> None:
    process = two.start("vm", "logs", "box", "otter", "-f", "-n", "1")
    read_until(process, b"goes on\n")
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (130, b"")


def test_a_daemon_that_ends_while_several_are_followed(two: FakeWorld) -> None:
    process = two.start("vm", "logs", "box", "otter", "-f")
    received = b""
    while received.count(b"\n") < 4:
        received += read_until(process, b"\n")
    two.kill_daemon()
    rest, errors = process.communicate(timeout=60)
    assert (process.returncode, rest, errors.count(b"the connection to the daemon was lost")) == (8, b"", 2)
    two.start_daemon()
