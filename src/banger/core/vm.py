"""A VM: what was asked for, and the states it goes through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from banger.core.errors import Invalid, WrongState
from banger.core.limits import DISK_BYTES_LIMITS, MEMORY_BYTES_LIMITS, VCPU_ALWAYS, VCPU_LIMIT, VCPU_PER_CPU
from banger.core.sizes import MIB, format_size


class State(StrEnum):
    """Where a VM is in its life."""

    CREATING = "creating"
    STOPPED = "stopped"
    STARTING = "starting"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPING = "stopping"
    DELETING = "deleting"


NEXT: Final = {
    State.CREATING: {State.STOPPED, State.DELETING},
    State.STOPPED: {State.STARTING, State.DELETING},
    State.STARTING: {State.RUNNING, State.STOPPED, State.STOPPING, State.DELETING},
    State.RUNNING: {State.PAUSED, State.STOPPING, State.STOPPED, State.DELETING},
    State.PAUSED: {State.RUNNING, State.STOPPING, State.STOPPED, State.DELETING},
    State.STOPPING: {State.STOPPING, State.STOPPED, State.DELETING},
    State.DELETING: {State.DELETING},
}


def check_move(name: str, actual: State, wanted: State) -> None:
    """Raise `WrongState` unless a VM may go from `actual` to `wanted`."""
    if wanted not in NEXT[actual]:
        raise WrongState(
            f"the VM {name} is {actual}; it cannot become {wanted} now",
            hint=f"`banger vm show {name}` shows the details",
            actual=str(actual),
            wanted=str(wanted),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class VmSpec:
    """What was asked for, with every default resolved. Images and kernels are named by digest as well as by name."""

    image: str
    image_digest: str
    kernel: str
    kernel_digest: str
    vcpu: int
    memory_mib: int
    disk_bytes: int
    nat: bool
    architecture: str = "x86_64"
    """What its image and kernel are made for; x86_64 where an older banger did not record it."""
    runs_entrypoint: bool = False
    """Whether the image's own program starts with the machine; only without an init."""
    origins: Mapping[str, str] = field(default_factory=dict)
    """Where each value comes from: `flag`, `lock`, `image`, `config`, `host` or `built-in`; unknown for older VMs."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Environment variables of every command, on top of the image's."""
    user: str = ""
    """The default user of commands and owner of workspaces; empty means root, or the image's user."""


def check_sizes(*, vcpu: int, memory_mib: int, disk_bytes: int) -> None:
    """Raise `Invalid` for sizes that no VM can have."""
    if not 1 <= vcpu <= VCPU_LIMIT:
        raise Invalid(f"{vcpu} vCPUs are not possible", hint=f"give --vcpu a number from 1 to {VCPU_LIMIT}")
    low, high = MEMORY_BYTES_LIMITS
    if not low <= memory_mib * MIB <= high:
        raise Invalid(
            f"{format_size(memory_mib * MIB)} of memory is not possible",
            hint=f"give --memory a size from {format_size(low)} to {format_size(high)}",
        )
    check_disk_size(disk_bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSize:
    """How large this computer is."""

    cpus: int
    memory_bytes: int


def check_sizes_here(host: HostSize, *, vcpu: int, memory_mib: int) -> None:
    """Raise `Invalid` for sizes that no VM can have on this computer."""
    most = min(VCPU_LIMIT, max(VCPU_PER_CPU * host.cpus, VCPU_ALWAYS))
    if vcpu > most:
        raise Invalid(
            f"{vcpu} vCPUs are too many for the {host.cpus} processors of this computer",
            hint=f"give --vcpu a number from 1 to {most}",
        )
    if memory_mib * MIB > host.memory_bytes:
        low = MEMORY_BYTES_LIMITS[0]
        raise Invalid(
            f"{format_size(memory_mib * MIB)} of memory is more than this computer has",
            hint=f"give --memory a size from {format_size(low)} to {format_size(host.memory_bytes)}",
        )


def check_disk_size(disk_bytes: int) -> None:
    """Raise `Invalid` for a size that no data disk can have."""
    if not DISK_BYTES_LIMITS[0] <= disk_bytes <= DISK_BYTES_LIMITS[1]:
        raise Invalid(
            f"a disk of {format_size(disk_bytes)} is not possible",
            hint=f"give --disk a size from {format_size(DISK_BYTES_LIMITS[0])} to {format_size(DISK_BYTES_LIMITS[1])}",
        )
