"""What a VM gets when nothing is said. Pure: the host's facts come in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from banger.core.vm import DEFAULT_DISK_BYTES

DEFAULT_IMAGE: Final = "debian-bookworm"
DEFAULT_KERNEL: Final = "debian-cloud"


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """Resolved once when the daemon starts."""

    vcpu: int
    memory_mib: int
    disk_bytes: int
    image: str = DEFAULT_IMAGE
    kernel: str = DEFAULT_KERNEL


def derive_defaults(*, cpus: int, memory_bytes: int) -> Defaults:
    """A machine that a laptop does not notice: up to 4 vCPUs of the host's, an eighth of its memory up to 4 GiB."""
    eighth_mib = memory_bytes // 8 >> 20
    return Defaults(
        vcpu=max(1, min(4, cpus)),
        memory_mib=max(512, min(4096, eighth_mib // 256 * 256)),
        disk_bytes=DEFAULT_DISK_BYTES,
    )
