"""`image cache prune`: removing what can be downloaded again and nothing needs now."""

from __future__ import annotations

import asyncio

from banger.api.messages import PruneResult
from banger.core.layout import Layout
from banger.daemon.collaborators import Images, Kernels
from banger.daemon.operations.stored import Users


class PruneCache:
    """Removes it, or says what it would remove."""

    def __init__(self, *, layout: Layout, images: Images, kernels: Kernels, users: Users) -> None:
        self._layout = layout
        self._images = images
        self._kernels = kernels
        self._users = users

    async def __call__(self, *, dry_run: bool) -> PruneResult:
        """Images and kernels first, because their downloads are then no longer needed."""
        in_use = frozenset(await self._users.by_digest())
        images = await asyncio.to_thread(lambda: self._images.prune(in_use=in_use, dry_run=dry_run))
        kernels = await asyncio.to_thread(lambda: self._kernels.prune(in_use=in_use, dry_run=dry_run))
        downloads = await self._images.prune_downloads(dry_run=dry_run)
        layers = await self._images.prune_layers(dry_run=dry_run)
        return {
            "blobs": downloads.number,
            "layers": layers.number,
            "images": images.number,
            "kernels": kernels.number,
            "freed_bytes": downloads.freed_bytes + layers.freed_bytes + images.freed_bytes + kernels.freed_bytes,
            "directory": str(self._layout.cache),
        }
