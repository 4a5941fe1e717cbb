"""Whether there is room for what a VM needs, asked before the first byte of it is fetched."""

from __future__ import annotations

from collections.abc import Callable

from banger.core.progress import Progress
from banger.daemon.collaborators import Images, Kernels, Space


class CheckRoom:
    """Checks image and kernel together, so that neither is fetched in vain because the other does not fit."""

    def __init__(self, *, images: Images, kernels: Kernels, space: Space) -> None:
        self._images = images
        self._kernels = kernels
        self._space = space

    async def __call__(self, report: Callable[[Progress], None], *, image: str, kernel: str, architecture: str) -> None:
        """Raise `Unavailable` when what has to be fetched does not fit."""
        needed_bytes = await self._kernels.needed_bytes(kernel, report, architecture=architecture)
        needed_bytes += await self._images.needed_bytes(image, report, architecture=architecture)
        if needed_bytes:
            self._space.check_stores(needed_bytes)
