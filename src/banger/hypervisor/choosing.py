"""Choosing the VMM, by trying once and remembering the outcome."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from banger.core.errors import Unsupported
from banger.core.files import make_private_directory, write_durably
from banger.core.locks import exclusive_lock
from banger.core.processes import read_boot_id, run
from banger.core.untrusted import printable
from banger.hypervisor.contract import Hypervisor
from banger.hypervisor.probe import ProbeResult, check_program, find_kvm_obstacle, probe
from banger.hypervisor.qemu.machine import Qemu

PROGRAM: Final = "qemu-system-x86_64"
LOCK_DEADLINE_S: Final = 60.0  # another daemon tries one kernel after the other, in seconds each


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A VMM that works here. `notice` is one line for the user, empty when it is KVM."""

    hypervisor: Hypervisor
    accelerator: str
    notice: str


def check_host(architecture: str) -> None:
    """Raise `Unsupported` for a processor that we have no VMM for, `Unavailable` when QEMU is not installed."""
    if architecture != "x86_64":
        raise Unsupported(
            f"banger runs VMs on x86_64 computers for now, and this one is {printable(architecture, limit=40)}",
            hint="use another computer",
        )
    check_program(shutil.which(PROGRAM))


class QemuChoosing:
    """Chooses between QEMU with KVM and QEMU with software emulation."""

    def __init__(self, *, memory: Path) -> None:
        self._memory = memory
        self._lock = asyncio.Lock()
        self._known: dict[str, ProbeResult] = {}

    async def choose(self, *, kernel: Path, kernel_digest: str, initramfs: Path) -> Choice:
        """The best VMM for guests of this kernel. Raises `Unavailable` when there is none."""
        result = await self.probe_kvm(kernel=kernel, kernel_digest=kernel_digest, initramfs=initramfs)
        program = check_program(shutil.which(PROGRAM))
        if result.works:
            return Choice(hypervisor=Qemu(program=program, accelerator="kvm"), accelerator="QEMU with KVM", notice="")
        return Choice(
            hypervisor=Qemu(program=program, accelerator="tcg"),
            accelerator="QEMU with software emulation",
            notice=f"using QEMU with software emulation, which is slow: {result.reason}",
        )

    async def probe_kvm(self, *, kernel: Path, kernel_digest: str, initramfs: Path) -> ProbeResult:
        """Whether KVM runs this kernel: remembered for this boot, this kernel and this QEMU, else tried now."""
        program = check_program(shutil.which(PROGRAM))
        obstacle = find_kvm_obstacle()
        if obstacle is not None:
            return ProbeResult(accelerator="kvm", works=False, reason=obstacle)
        async with self._lock:
            status = os.stat(program)
            quick_key = f"{kernel_digest} {program} {status.st_mtime_ns} {status.st_size}"
            if quick_key not in self._known:
                self._known[quick_key] = await self._remembered(program, kernel, kernel_digest, initramfs)
            return self._known[quick_key]

    async def _remembered(self, program: str, kernel: Path, kernel_digest: str, initramfs: Path) -> ProbeResult:
        version = (await run([program, "--version"])).stdout.decode("utf-8", "replace").split("\n", 1)[0]
        key = f"{read_boot_id()} {kernel_digest} {program} {version}"
        make_private_directory(self._memory.parent)
        async with exclusive_lock(self._memory.with_suffix(".lock"), deadline_s=LOCK_DEADLINE_S):
            known = read_memory(self._memory)
            if key in known:
                return known[key]
            result = await probe(program, "kvm", kernel=kernel, initramfs=initramfs)
            same_boot = {old: outcome for old, outcome in known.items() if old.startswith(read_boot_id())}
            write_memory(self._memory, {**same_boot, key: result})
            return result


def read_memory(path: Path) -> dict[str, ProbeResult]:
    """Remembered outcomes by what they depend on; nothing when the file is missing or damaged."""
    try:
        return {key: ProbeResult(**value) for key, value in json.loads(path.read_bytes()).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def write_memory(path: Path, results: dict[str, ProbeResult]) -> None:
    """Remember outcomes."""
    write_durably(path, json.dumps({key: asdict(value) for key, value in results.items()}, indent=2).encode())
