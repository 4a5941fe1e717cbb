"""What the daemon needs from a VMM, as a contract that both QEMU and Firecracker could fulfil."""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from banger.core.errors import Invalid
from banger.core.processes import ProcessIdentity

COMMAND_LINE_LIMIT: Final = 2048
_ARGUMENT: Final = re.compile(r"[A-Za-z0-9._-]+(=[A-Za-z0-9._:/,@=+-]+)?")


@dataclass(frozen=True, slots=True)
class CommandLine:
    """The kernel's command line as a list of checked words. No secrets: every process of the guest can read it."""

    words: tuple[str, ...]

    def __post_init__(self) -> None:
        for word in self.words:
            if _ARGUMENT.fullmatch(word) is None:
                raise Invalid(f"{ascii(word)} cannot stand on a kernel's command line")
        if len(str(self)) > COMMAND_LINE_LIMIT:
            raise Invalid(f"the kernel's command line is longer than {COMMAND_LINE_LIMIT} bytes")

    def __str__(self) -> str:
        return " ".join(self.words)


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskSpec:
    """A raw disk that the guest finds by its serial number."""

    serial: str
    path: Path
    read_only: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSpec:
    """The guest's end of the wire: the Unix socket of the network process, and the MAC address of the network card."""

    socket: Path
    mac: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineSpec:
    """Everything a VMM needs. Whoever starts it makes the sockets; the network process makes its own."""

    vm_id: str
    vcpu: int
    memory_mib: int
    kernel: Path
    initramfs: Path
    command_line: CommandLine
    disks: tuple[DiskSpec, ...]
    channel: Path
    console: Path
    console_socket: Path
    control: Path
    log: Path
    log_pipe: Path
    network: NetworkSpec | None
    run_directory: Path


@dataclass(frozen=True, slots=True)
class MachineEnd:
    """Why a VMM has ended, in words for people. `failed` is False for a guest that switched itself off."""

    reason: str
    failed: bool


class RunningMachine(Protocol):
    """A running VMM. It outlives the daemon; `aclose` releases it without ending it."""

    @property
    def identity(self) -> ProcessIdentity: ...

    async def wait(self) -> MachineEnd:
        """Wait until the VMM has ended. May be called by several tasks, and after the end."""

    async def kill(self) -> None:
        """End the VMM now, and wait for it. Does nothing when it has ended."""

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the VMM itself. Does nothing when it has ended."""

    async def pause(self) -> None:
        """Stop the guest's processors."""

    async def paused(self) -> bool:
        """Whether the guest's processors are stopped. Raises `TimedOut` or `Failed` when the VMM does not say."""

    async def resume(self) -> None:
        """Let the guest's processors run again."""

    async def aclose(self) -> None:
        """Close our ends of the VMM's sockets."""


class Hypervisor(Protocol):
    """A VMM with one way of running guests."""

    @property
    def name(self) -> str: ...

    async def start(self, spec: MachineSpec) -> RunningMachine:
        """Start a VMM. When this fails, or is cancelled, no process is left. Raises `Failed`, `Unavailable`."""

    async def adopt(self, spec: MachineSpec, identity: ProcessIdentity) -> RunningMachine | None:
        """Take over a VMM that an earlier daemon started with `spec`; None when it does not run any more."""
