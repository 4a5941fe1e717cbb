"""Pulls an image in a process of its own, for tests that kill it: `HOST CACHE HOME REFERENCE`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from banger.core.config.registries import Registry
from banger.image.blob_cache import BlobCache
from banger.image.fetching import fetch_image
from banger.image.platforms import Platform
from banger.image.reference import parse_reference
from banger.image.registry.opening import open_client


async def main(host: str, cache: str, home: str, reference: str) -> None:
    registries = {host: Registry(host, plain_http=True)}
    async with open_client(registries=registries, environment={"HOME": home}) as client:
        found = await fetch_image(
            parse_reference(reference),
            Platform("linux", "amd64"),
            client=client,
            cache=BlobCache(Path(cache), check_space=lambda _path, *, needed_bytes: None),
            report=lambda _progress: None,
        )
    print(found.digest)  # noqa: T201 - the test reads it


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
