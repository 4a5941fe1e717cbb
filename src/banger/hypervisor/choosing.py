"""Choosing the VMM, by trying once and remembering the outcome."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from banger.core.files import make_private_directory, write_durably
from banger.core.locks import exclusive_lock
from banger.core.processes import read_boot_id, run
from banger.hypervisor.contract import CommandLine, Hypervisor
from banger.hypervisor.probe import ProbeResult, find_kvm_obstacle, find_program, probe
from banger.hypervisor.qemu.board import Board, find_board
from banger.hypervisor.qemu.machine import Qemu
from banger.hypervisor.qemu.plan import kernel_command_line

_EMULATION_DEADLINE_S: Final = 60.0  # it takes two seconds, and many times that beside others
LOCK_DEADLINE_S: Final = 60.0  # another daemon tries one kernel after the other, in seconds each


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A VMM that works here. `notice` is one line for the user, empty with KVM."""

    hypervisor: Hypervisor
    board: Board
    is_emulated: bool
    accelerator: str
    notice: str

    def command_line(self, *, tsc_khz: int | None) -> CommandLine:
        """The guest kernel's command line; `tsc_khz` as in `kernel_command_line`."""
        return kernel_command_line(self.board, tsc_khz=tsc_khz)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Whether a guest ran under a VMM when it was tried, and what was observed."""

    name: str
    accelerator: str
    works: bool
    reason: str


def check_guests(architecture: str, *, host: str) -> None:
    """Raise `Unsupported` if no VMM supports these guests or this computer, `Unavailable` if QEMU is not installed."""
    find_board(host)
    find_program(find_board(architecture))


class QemuChoosing:
    """Chooses between QEMU with KVM and QEMU with software emulation. `host` is this computer's architecture."""

    def __init__(self, *, memory: Path, host: str) -> None:
        self._memory = memory
        self._host = host
        self._lock = asyncio.Lock()
        self._known: dict[str, ProbeResult] = {}

    async def choose(self, *, architecture: str, kernel: Path, kernel_digest: str, initramfs: Path) -> Choice:
        """The best VMM for guests of this kernel. Raises `Unavailable` when there is none."""
        board = find_board(architecture)
        program = find_program(board)
        result = await self._probe_kvm(board, program, kernel=kernel, kernel_digest=kernel_digest, initramfs=initramfs)
        if result.works:
            return Choice(
                hypervisor=Qemu(program=program, board=board, accelerator="kvm"),
                board=board,
                is_emulated=False,
                accelerator="QEMU with KVM",
                notice="",
            )
        return Choice(
            hypervisor=Qemu(program=program, board=board, accelerator="tcg"),
            board=board,
            is_emulated=True,
            accelerator="QEMU with software emulation",
            notice=f"using QEMU with software emulation, which is slow: {result.reason}",
        )

    async def try_each(
        self, *, architecture: str, kernel: Path, kernel_digest: str, initramfs: Path, tsc_khz: int | None
    ) -> tuple[Trial, ...]:
        """Each VMM, the best one first; KVM with its remembered outcome, emulation by trying. Raises `Unavailable`.

        `tsc_khz` is the counter's frequency that emulated guests are told.
        """
        board = find_board(architecture)
        program = find_program(board)
        kvm = await self._probe_kvm(board, program, kernel=kernel, kernel_digest=kernel_digest, initramfs=initramfs)
        emulated = await probe(
            program,
            board,
            "tcg",
            kernel=kernel,
            initramfs=initramfs,
            deadline_s=_EMULATION_DEADLINE_S,
            tsc_khz=tsc_khz,
        )
        return (
            Trial(name="qemu_kvm", accelerator="QEMU with KVM", works=kvm.works, reason=kvm.reason),
            Trial(
                name="qemu_tcg",
                accelerator="QEMU with software emulation",
                works=emulated.works,
                reason=emulated.reason,
            ),
        )

    async def _probe_kvm(
        self, board: Board, program: str, *, kernel: Path, kernel_digest: str, initramfs: Path
    ) -> ProbeResult:
        """Whether KVM runs this kernel: remembered for this boot, this kernel and this QEMU, else tried now."""
        obstacle = find_foreignness(board.architecture, host=self._host) or find_kvm_obstacle()
        if obstacle is not None:
            return ProbeResult(accelerator="kvm", works=False, reason=obstacle)
        async with self._lock:
            status = os.stat(program)
            quick_key = f"{kernel_digest} {program} {status.st_mtime_ns} {status.st_size}"
            if quick_key not in self._known:
                self._known[quick_key] = await self._remembered(board, program, kernel, kernel_digest, initramfs)
            return self._known[quick_key]

    async def _remembered(
        self, board: Board, program: str, kernel: Path, kernel_digest: str, initramfs: Path
    ) -> ProbeResult:
        version = (await run([program, "--version"])).stdout.decode("utf-8", "replace").split("\n", 1)[0]
        key = f"{read_boot_id()} {kernel_digest} {program} {version}"
        make_private_directory(self._memory.parent)
        async with exclusive_lock(self._memory.with_suffix(".lock"), deadline_s=LOCK_DEADLINE_S):
            known = read_memory(self._memory)
            if key in known:
                return known[key]
            result = await probe(program, board, "kvm", kernel=kernel, initramfs=initramfs)
            same_boot = {old: outcome for old, outcome in known.items() if old.startswith(read_boot_id())}
            write_memory(self._memory, {**same_boot, key: result})
            return result


def find_foreignness(architecture: str, *, host: str) -> str | None:
    """Why guests of an architecture cannot run natively on this computer, or None if they can. Pure."""
    if architecture == host:
        return None
    return f"the guest is made for {architecture}, and this computer is {host}"


def read_memory(path: Path) -> dict[str, ProbeResult]:
    """Remembered outcomes, keyed by what they depend on; empty when the file is missing or damaged."""
    try:
        return {key: ProbeResult(**value) for key, value in json.loads(path.read_bytes()).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def write_memory(path: Path, results: dict[str, ProbeResult]) -> None:
    """Remember outcomes."""
    write_durably(path, json.dumps({key: asdict(value) for key, value in results.items()}, indent=2).encode())
