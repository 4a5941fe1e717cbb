"""Debian packages for guests, downloaded by this host's apt, and other files that recipes name."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from banger.core.debian import read_host_sources
from banger.core.layout import Layout
from banger.core.progress import Progress
from banger.core.threads import left_in_thread
from banger.daemon.host_catalogues import fetch_pinned
from banger.image.blob_cache import BlobCache
from banger.image.debian_packages import Debian, download_packages
from banger.image.pinned import Fetch
from banger.image.store import ImageStore


class HostPackages:
    """Keeps packages among the drafts of images, where the leftovers of killed makers are removed."""

    def __init__(self, layout: Layout, cache: BlobCache) -> None:
        self._content = ImageStore(layout.images).content
        self._cache = cache

    @asynccontextmanager
    async def fetching(self, report: Callable[[Progress], None]) -> AsyncIterator[Fetch]:
        async with self._cache.in_use():
            yield partial(fetch_pinned, self._cache, report=report)

    @asynccontextmanager
    async def downloaded(
        self, packages: Sequence[str], debian: Debian, *, architecture: str, report: Callable[[Progress], None]
    ) -> AsyncIterator[list[Path]]:
        async with left_in_thread(self._content.draft()) as draft:
            yield await download_packages(
                packages,
                debian,
                draft / "apt",
                architecture=architecture,
                host_sources=read_host_sources(),
                report=report,
            )
