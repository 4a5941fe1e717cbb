"""Processor architectures: the kernel's words inside banger, the words of registries where people write them.

Cheap to import: the command line reads platforms too.
"""

from __future__ import annotations

import os

from banger.core.errors import Invalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

# `uname -m`, and what registries call the same (OCI image specification, "platform").
_OF_ARCHITECTURE: Final = {"x86_64": "linux/amd64", "aarch64": "linux/arm64"}
_WORDS: Final = {
    "amd64": "x86_64",
    "amd64/v1": "x86_64",
    "x86-64": "x86_64",
    "x86_64": "x86_64",
    "aarch64": "aarch64",
    "arm64": "aarch64",
    "arm64/v8": "aarch64",
}
ARCHITECTURES: Final = tuple(_OF_ARCHITECTURE)


def parse_platform(text: str) -> str:
    """The architecture that `linux/arm64`, `arm64` or `aarch64` means, as `uname -m` has it. Raises `Invalid`."""
    architecture = _WORDS.get(text.lower().removeprefix("linux/"))
    if architecture is None:
        raise Invalid(
            f"{ascii(text[:80])} is not a platform that guests can have",
            hint=f"give {' or '.join(_OF_ARCHITECTURE.values())}",
        )
    return architecture


def name_platform(architecture: str) -> str:
    """What registries and catalogues call an architecture; the kernel's own word if they have none."""
    return _OF_ARCHITECTURE.get(architecture, architecture)


def host_architecture() -> str:
    """The architecture of this computer, as `uname -m` says."""
    return os.uname().machine
