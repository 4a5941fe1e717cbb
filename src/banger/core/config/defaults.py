"""The defaults of a VM, and where each comes from: the configuration file, this computer, or banger. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

from banger.core.config.parsing import Configuration
from banger.core.sizes import GIB

Origin = Literal["flag", "environment", "config", "host", "built-in"]

DEFAULT_IMAGE: Final = "debian-bookworm"
DEFAULT_KERNEL: Final = "debian-cloud"
DEFAULT_DISK_BYTES: Final = 8 * GIB
_NOTHING: Final[Mapping[str, Origin]] = MappingProxyType({})


class Defaults(NamedTuple):
    """Resolved once when the daemon starts. `origins` has the fields that are not built in."""

    vcpu: int
    memory_mib: int
    disk_bytes: int = DEFAULT_DISK_BYTES
    nat: bool = False
    ttl_s: float | None = None
    """How long a VM may live before it is deleted; None for ever."""
    image: str = DEFAULT_IMAGE
    kernel: str = DEFAULT_KERNEL
    auto_stop_stale_after_s: float = 0.0
    """How long a VM that nobody uses keeps running; 0 for ever."""
    origins: Mapping[str, Origin] = _NOTHING

    def origin(self, field: str) -> Origin:
        """Where the value of `field` comes from."""
        return self.origins.get(field, "built-in")

    def origins_beside(self, flags: Mapping[str, object]) -> dict[str, Origin]:
        """Where each value of a VM comes from, given the `flags` of its request; a flag that was not given is None."""
        return {field: self.origin(field) if value is None else "flag" for field, value in flags.items()}


def derive_defaults(*, cpus: int, memory_bytes: int) -> Defaults:
    """Small enough for a laptop: at most 4 vCPUs, and an eighth of the host's memory, from 512 MiB to 4 GiB."""
    eighth_mib = memory_bytes // 8 >> 20
    return Defaults(
        vcpu=max(1, min(4, cpus)),
        memory_mib=max(512, min(4096, eighth_mib // 256 * 256)),
        origins={"vcpu": "host", "memory_mib": "host"},
    )


def apply_configuration(defaults: Defaults, configuration: Configuration) -> Defaults:
    """The defaults, overridden by what the configuration file says."""
    written: dict[str, object] = {
        "vcpu": configuration.vcpu,
        "memory_mib": configuration.memory_mib,
        "disk_bytes": configuration.disk_bytes,
        "nat": configuration.nat,
        "ttl_s": configuration.ttl_s,
        "image": configuration.default_image,
        "kernel": configuration.default_kernel,
        "auto_stop_stale_after_s": configuration.auto_stop_stale_after_s,
    }
    said = {field: value for field, value in written.items() if value is not None}
    origins: dict[str, Origin] = {**defaults.origins, **dict.fromkeys(said, "config")}
    if said.get("ttl_s") == 0:
        said["ttl_s"] = None
    return Defaults(**{**defaults._asdict(), **said, "origins": origins})
