"""Images from registries: the client with its configuration, and the cache of what it fetched."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO

from banger.core.layers import Layer
from banger.core.layout import Layout
from banger.core.progress import Progress
from banger.disk.space import check_free_space
from banger.image.blob_cache import BlobCache
from banger.image.fetching import FetchedImage, fetch_image
from banger.image.layered import LayeredImage
from banger.image.platforms import Platform
from banger.image.reference import Reference
from banger.image.registry.opening import open_client
from banger.image.registry.sources import Registries


def open_blob(path: Path) -> BinaryIO:
    """A blob of the cache."""
    return path.open("rb")


def describe_fetched(image: FetchedImage) -> LayeredImage:
    """The image as it is made into one here. The layers are in the cache, checked."""
    return LayeredImage(
        digest=image.digest,
        config=image.config,
        layers=tuple(
            Layer(
                open=partial(open_blob, layer.path),
                media_type=layer.media_type,
                digest=layer.digest,
                size=layer.size,
                diff_id=layer.diff_id,
            )
            for layer in image.layers
        ),
    )


class HostRegistry:
    """Fetches images."""

    def __init__(self, layout: Layout, *, registries: Registries, environment: Mapping[str, str]) -> None:
        """`environment` says where the user keeps credentials, and which proxies to use."""
        self.cache = BlobCache(layout.blobs, check_space=check_free_space)
        self._registries = registries
        self._environment = environment

    @asynccontextmanager
    async def fetched(
        self, reference: Reference, platform: Platform, report: Callable[[Progress], None]
    ) -> AsyncIterator[FetchedImage]:
        """The image, whose layers stay in the cache until the block is left. Raises what `fetch_image` does."""
        async with self.cache.in_use():
            async with open_client(registries=self._registries, environment=self._environment) as client:
                image = await fetch_image(reference, platform, client=client, cache=self.cache, report=report)
            yield image
