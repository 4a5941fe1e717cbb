"""The virtual computers of QEMU, one for each architecture of guests. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from banger.core.debian import QEMU_PACKAGES
from banger.core.errors import Unsupported
from banger.core.untrusted import printable

Accelerator = Literal["kvm", "tcg"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """`program` is QEMU for the architecture, in Debian's `package`; `machine` and `processor` are by accelerator.

    `console` is the guest kernel's name for the serial port, `words` are further words on its command line.
    """

    architecture: str
    program: str
    package: str
    machine: Mapping[Accelerator, str]
    processor: Mapping[Accelerator, str]
    options: tuple[str, ...] = ()
    console: str
    words: tuple[str, ...] = ()


_X86_64: Final = Board(
    architecture="x86_64",
    program="qemu-system-x86_64",
    package=QEMU_PACKAGES["x86_64"],
    # The timers stay: without them a guest under emulation has nothing to calibrate its clock against.
    machine=MappingProxyType({"kvm": "microvm,rtc=on", "tcg": "microvm,rtc=on"}),
    processor=MappingProxyType({"kvm": "host", "tcg": "max"}),
    console="ttyS0",
    words=("reboot=t", "pci=off", "8250.nr_uarts=1"),
)
# Emulated, a processor that signs pointers (`max` does, with a cipher in software) takes five times as long to boot.
# The second version of the interrupt controller, QEMU's default, serves eight processors at most.
_AARCH64: Final = Board(
    architecture="aarch64",
    program="qemu-system-aarch64",
    package=QEMU_PACKAGES["aarch64"],
    machine=MappingProxyType({"kvm": "virt,gic-version=host,acpi=off", "tcg": "virt,gic-version=3,acpi=off"}),
    processor=MappingProxyType({"kvm": "host", "tcg": "cortex-a76"}),
    options=("-global", "virtio-mmio.force-legacy=false"),  # as on microvm
    console="ttyAMA0",
)
_BOARDS: Final = MappingProxyType({board.architecture: board for board in (_X86_64, _AARCH64)})


def find_board(architecture: str) -> Board:
    """The computer for guests of an architecture. Raises `Unsupported`."""
    board = _BOARDS.get(architecture)
    if board is None:
        raise Unsupported(
            f"banger has no virtual computer for {printable(architecture, limit=40)}",
            hint=f"guests can be {' or '.join(_BOARDS)}",
        )
    return board
