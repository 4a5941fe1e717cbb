"""Packages of Debian for guests, got by this host's apt."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from banger.core.debian import read_host_sources
from banger.core.layout import Layout
from banger.core.progress import Progress
from banger.image.debian_packages import Debian, download_packages
from banger.image.store import ImageStore


class HostPackages:
    """Keeps them beside the images that are being made, where what a killed maker left is removed."""

    def __init__(self, layout: Layout) -> None:
        self._content = ImageStore(layout.images).content

    @asynccontextmanager
    async def downloaded(
        self, packages: Sequence[str], debian: Debian, *, architecture: str, report: Callable[[Progress], None]
    ) -> AsyncIterator[list[Path]]:
        with self._content.draft() as draft:
            yield await download_packages(
                packages,
                debian,
                draft / "apt",
                architecture=architecture,
                host_sources=read_host_sources(),
                report=report,
            )
