"""Choosing a VMM by trying it, with programs that play QEMU."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest

from banger.core.errors import Unavailable, Unsupported
from banger.core.locks import exclusive_lock
from banger.hypervisor.choosing import QemuChoosing, check_guests, read_memory, write_memory
from banger.hypervisor.probe import ProbeResult, find_kvm_obstacle, probe
from banger.hypervisor.qemu.board import find_board

NOTHING = Path("/dev/null")
X86_64 = find_board("x86_64")


async def try_kvm(program: str, *, deadline_s: float = 30) -> ProbeResult:
    return await probe(program, X86_64, "kvm", kernel=NOTHING, initramfs=NOTHING, deadline_s=deadline_s)


def program(directory: Path, body: str) -> str:
    path = directory / "qemu"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return os.fspath(path)


async def test_a_guest_that_speaks_is_proof(tmp_path: Path) -> None:
    result = await try_kvm(program(tmp_path, "echo 'banger-agent: disks: nothing'; sleep 600"))
    assert result.works


async def test_a_vmm_that_ends_says_why(tmp_path: Path) -> None:
    result = await try_kvm(program(tmp_path, r"printf 'kvm: \033[31mno\n' >&2; exit 1"))
    assert not result.works
    assert result.reason == r"QEMU ended a test guest: kvm: \x1b[31mno"


async def test_a_guest_that_hangs_is_given_up_and_nothing_is_left(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    result = await try_kvm(program(tmp_path, f"echo $$ > {pid_file}; sleep 600"), deadline_s=0.5)
    assert not result.works
    assert "no sign of life in 0.5 s" in result.reason
    assert not Path(f"/proc/{pid_file.read_text().strip()}").exists()


async def test_firmware_that_prints_is_no_proof(tmp_path: Path) -> None:
    result = await try_kvm(program(tmp_path, "echo SeaBIOS; echo 'Linux version 6'; exit 0"))
    assert not result.works


async def test_a_flood_is_no_proof(tmp_path: Path) -> None:
    result = await try_kvm(program(tmp_path, "exec cat /dev/zero"), deadline_s=5)
    assert not result.works


async def test_waiting_for_another_daemons_probe_can_be_given_up(tmp_path: Path) -> None:
    """The lock is then nobody's: it used to be taken by a thread that nobody waited for any more."""
    lock = tmp_path / "probes.lock"
    choosing = QemuChoosing(memory=tmp_path / "probes.json", host="x86_64")
    async with exclusive_lock(lock, deadline_s=1):
        qemu = program(tmp_path, "echo 8.2")
        waiting = asyncio.create_task(choosing._remembered(X86_64, qemu, NOTHING, "digest", NOTHING))
        await asyncio.sleep(0.3)
        assert not waiting.done()
        waiting.cancel()
        await asyncio.wait((waiting,))
    await asyncio.sleep(0.1)
    async with exclusive_lock(lock, deadline_s=1):
        pass


@pytest.mark.parametrize("architecture", ["riscv64", "", "\x1b"])
def test_what_no_vmm_is_for(architecture: str) -> None:
    with pytest.raises(Unsupported, match="no virtual computer"):
        check_guests("x86_64", host=architecture)
    with pytest.raises(Unsupported, match="no virtual computer") as caught:
        check_guests(architecture, host="x86_64")
    assert caught.value.hint == "guests can be x86_64 or aarch64"


def test_a_qemu_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.fspath(tmp_path))
    for architecture, package in (("x86_64", "qemu-system-x86"), ("aarch64", "qemu-system-arm")):
        with pytest.raises(Unavailable, match=f"QEMU for {architecture} guests is not installed") as caught:
            check_guests(architecture, host="x86_64")
        assert caught.value.hint == f"sudo apt install {package}"
        qemu = tmp_path / f"qemu-system-{architecture}"
        qemu.write_text("#!/bin/sh\n")
        qemu.chmod(0o755)
        check_guests(architecture, host="x86_64")


@pytest.mark.parametrize(("guest", "host"), [("aarch64", "x86_64"), ("x86_64", "aarch64")])
async def test_a_foreign_guest_is_emulated_without_a_trial(
    guest: str, host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / f"qemu-system-{guest}").write_text("#!/bin/sh\necho 'banger-agent: here'; sleep 600\n")
    (tmp_path / f"qemu-system-{guest}").chmod(0o755)
    monkeypatch.setenv("PATH", os.fspath(tmp_path))
    choosing = QemuChoosing(memory=tmp_path / "probes.json", host=host)
    choice = await choosing.choose(architecture=guest, kernel=NOTHING, kernel_digest="d", initramfs=NOTHING)
    assert choice.hypervisor.name == "qemu-tcg"
    assert choice.board.architecture == guest
    assert choice.notice == (
        f"using QEMU with software emulation, which is slow: the guest is made for {guest}, and this computer is {host}"
    )
    assert not (tmp_path / "probes.json").exists()


def test_obstacles(tmp_path: Path) -> None:
    assert find_kvm_obstacle(os.fspath(tmp_path / "kvm")) == "there is no /dev/kvm on this host"
    device = tmp_path / "device"
    device.touch()
    assert find_kvm_obstacle(os.fspath(device)) is None
    if os.geteuid() == 0:
        return
    device.chmod(0)
    assert "usermod" in str(find_kvm_obstacle(os.fspath(device)))


@pytest.mark.parametrize("content", ["", "{", "[]", '{"a": 1}', '{"a": {"b": 1}}'])
def test_a_damaged_memory_is_forgotten(tmp_path: Path, content: str) -> None:
    path = tmp_path / "probes.json"
    path.write_text(content)
    assert read_memory(path) == {}
    result = ProbeResult(accelerator="kvm", works=False, reason="r")
    write_memory(path, {"key": result})
    assert read_memory(path) == {"key": result}
    assert json.loads(path.read_text())
