"""Whether an accelerator really runs a guest: only a guest that reaches its own program proves it.

`/dev/kvm` may exist, open and answer every ioctl, and still never run a stock kernel. So the probe starts the very
kernel and initramfs that VMs use, and waits for the agent to print that it has nothing to do there.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from banger.core.errors import Unavailable
from banger.core.processes import end, start
from banger.core.untrusted import printable
from banger.hypervisor.qemu.board import Accelerator, Board
from banger.hypervisor.qemu.plan import kernel_command_line, plan_machine

DEADLINE_S: Final = 2.5
TOKEN: Final = b"banger-agent:"
_OUTPUT_LIMIT_BYTES: Final = 1 << 18


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeResult:
    """Whether a guest ran, and if not, why."""

    accelerator: Accelerator
    works: bool
    reason: str


async def probe(
    program: str,
    board: Board,
    accelerator: Accelerator,
    *,
    kernel: Path,
    initramfs: Path,
    deadline_s: float = DEADLINE_S,
    tsc_khz: int | None = None,
) -> ProbeResult:
    """Run the tiny guest, told `tsc_khz` as every emulated guest is. Raises `Unavailable` when there is no QEMU."""
    argv = [
        program,
        *plan_machine(board, accelerator, vcpu=1, memory_mib=256),
        *("-kernel", os.fspath(kernel), "-initrd", os.fspath(initramfs)),
        *("-append", str(kernel_command_line(board, tsc_khz=tsc_khz)), "-serial", "stdio", "-monitor", "none"),
    ]
    process = await start(argv, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    said = asyncio.create_task(process.stderr.read())
    try:
        async with asyncio.timeout(deadline_s):
            if await _find_token(process.stdout):
                return ProbeResult(accelerator=accelerator, works=True, reason="a test guest ran")
            await process.wait()
            lines = (await said).strip().splitlines()
            last = printable(lines[-1], limit=160) if lines else "it said nothing"
            return ProbeResult(accelerator=accelerator, works=False, reason=f"QEMU ended a test guest: {last}")
    except TimeoutError:
        reason = f"a test guest was started and showed no sign of life in {deadline_s:g} s"
        return ProbeResult(accelerator=accelerator, works=False, reason=reason)
    finally:
        said.cancel()
        await asyncio.wait((said,))
        await end(process)


async def _find_token(output: asyncio.StreamReader) -> bool:
    seen = b""
    while len(seen) < _OUTPUT_LIMIT_BYTES:
        data = await output.read(4096)
        if not data:
            return False
        seen += data
        if TOKEN in seen:
            return True
    return False


def find_kvm_obstacle(device: str = "/dev/kvm") -> str | None:
    """Why KVM need not even be tried, or None. Never raises."""
    if not os.path.exists(device):  # noqa: PTH110 - a device node, asked once
        return "there is no /dev/kvm on this host"
    if not os.access(device, os.R_OK | os.W_OK):
        return "your user may not use /dev/kvm (to change that: sudo usermod -aG kvm $USER, and log in again)"
    return None


def find_program(board: Board) -> str:
    """The path of QEMU for a board. Raises `Unavailable`."""
    path = shutil.which(board.program)
    if path is None:
        raise Unavailable(
            f"QEMU for {board.architecture} guests is not installed", hint=f"sudo apt install {board.package}"
        )
    return path
