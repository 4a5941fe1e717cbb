"""The platform of an image, in the words of the OCI image specification. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from banger.core.errors import Invalid

# What `uname -m` says, and what the specification says (the names of Go).
_MACHINES: Final = {"amd64": "x86_64", "arm64": "aarch64"}
_SPELLINGS: Final = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64"}
# Variants that mean the architecture's baseline, which every guest has.
_BASELINES: Final = {"amd64": ("", "v1"), "arm64": ("", "v8", "v8.0")}
_PART_LIMIT: Final = 32


@dataclass(frozen=True, slots=True)
class Platform:
    """An operating system, an architecture, and its variant if one is named. Not checked: an image may say anything."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))

    @property
    def machine(self) -> str:
        """The architecture as guests and kernels call it. Only for a platform from `parse_platform`."""
        return _MACHINES[self.architecture]

    def runs(self, other: Platform) -> bool:
        """Whether an image for `other` runs where images for this platform run."""
        if (self.os, self.architecture) != (other.os, other.architecture):
            return False
        return other.variant in (self.variant, *_BASELINES.get(self.architecture, ("",)))


def parse_platform(text: str) -> Platform:
    """Read `linux/amd64`, `linux/arm64`, `linux/arm64/v8`; `amd64`, `x86_64` and so on mean Linux. Raises `Invalid`."""
    hint = "write linux/amd64 or linux/arm64"
    parts = text.lower().split("/")
    if parts[0] != "linux":
        parts = ["linux", *parts]
    if len(parts) > 3 or any(len(part) > _PART_LIMIT for part in parts):
        raise Invalid(f"{ascii(text[:80])} is not a platform", hint=hint)
    architecture = _SPELLINGS.get(parts[1], parts[1]) if len(parts) > 1 else ""
    variant = parts[2] if len(parts) == 3 else ""
    if architecture not in _MACHINES or variant not in _BASELINES[architecture]:
        raise Invalid(f"{ascii(text[:80])} is not a platform that guests here can have", hint=hint)
    return Platform("linux", architecture)


def platform_of_machine(machine: str) -> Platform:
    """The platform of guests whose kernel calls itself `x86_64` or `aarch64`."""
    return Platform("linux", _SPELLINGS[machine])
