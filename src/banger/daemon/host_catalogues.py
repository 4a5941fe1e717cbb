"""What the adapters of images and kernels share: the catalogues, and words for waiting."""

from __future__ import annotations

import platform
from collections.abc import Callable
from typing import Final, Protocol

from banger.catalogue.document import Kind
from banger.catalogue.shelf import Found
from banger.core.progress import Progress

_PLATFORMS: Final = {"x86_64": "linux/amd64", "aarch64": "linux/arm64"}


class Catalogues(Protocol):
    """Where names lead."""

    async def find(self, kind: Kind, name: str, platform: str) -> Found | None:
        """The entry that a name means, or None."""


def here() -> str:
    """The platform of this computer, in the words of catalogues."""
    return _PLATFORMS.get(platform.machine(), platform.machine())


def describe_waiting(report: Callable[[Progress], None], stage: str, name: str) -> Callable[[], None]:
    """What is said while somebody else makes the same thing."""
    return lambda: report(Progress(stage=stage, text=f"waiting for somebody else who is making {name}"))
