"""What the adapters of images and kernels share: catalogues, downloads, and the progress text while waiting."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol

from banger.catalogue.document import Bundle, Distribution, Kind
from banger.catalogue.memories import Memories
from banger.catalogue.shelf import Found, Opened, Shelf
from banger.core.config.catalogues import CatalogueSource
from banger.core.content_store import ContentStore, digest_file
from banger.core.errors import Failed
from banger.core.layout import Layout
from banger.core.progress import Progress
from banger.core.provenance import Provenance
from banger.daemon.collaborators import Pruned
from banger.image.blob_cache import BlobCache, Partial
from banger.image.manifest import Descriptor
from banger.image.pinned import Pinned

Report = Callable[[Progress], None]
_SETTLED_S: Final = 3600.0  # anything younger may be about to get its name


class Catalogues(Protocol):
    """Where the names of images and kernels are looked up."""

    async def find(self, kind: Kind, name: str, platform: str, report: Report) -> Found | None:
        """The entry that a name means, or None. Raises the reason why a catalogue cannot be trusted."""

    async def list(self, kind: Kind, report: Report) -> tuple[list[Found], list[Opened]]:
        """All entries that names mean, and the configured catalogues."""


def open_catalogues(layout: Layout, sources: Sequence[CatalogueSource]) -> Shelf:
    """The catalogues of this host."""
    return Shelf(
        sources,
        fetch=fetch_text,
        memories=Memories(layout.catalogue_memories),
        copies=layout.catalogue_copies,
        now=lambda: datetime.now(UTC),
    )


async def fetch_text(url: str, *, limit_bytes: int) -> bytes:
    """A small document from the web."""
    from banger.image.web import open_web

    async with open_web(os.environ) as web:
        return await web.read(url, limit_bytes=limit_bytes)


async def fetch_bundle(cache: BlobCache, bundle: Bundle, name: str, report: Report) -> Path:
    """A checked bundle in the cache; interrupted downloads resume. The caller holds `cache.in_use()`."""
    from banger.image.web import open_web

    blob = Descriptor(media_type="", digest=bundle.digest, size=bundle.size)
    cache.check_space([blob])

    async def download(partial: Partial) -> None:
        async with open_web(os.environ) as web:
            await web.download(bundle.url, blob, partial)

    def progressed(done: int) -> None:
        report(Progress(stage="download", text=f"downloading {name}", done=done, total=bundle.size, unit="bytes"))

    path = await cache.fetch(
        blob, download, progressed=progressed, waiting=describe_waiting(report, "download", f"the bundle of {name}")
    )
    found = await asyncio.to_thread(digest_file, path)  # it may have been damaged since it was downloaded
    if found != bundle.digest:
        cache.discard(bundle.digest)
        raise Failed(
            f"the bundle of {name} in the cache is damaged: it is {found}, not {bundle.digest}",
            hint="it is removed; pull again",
        )
    return path


async def fetch_pinned(cache: BlobCache, pinned: Pinned, *, report: Report) -> Path:
    """A file that a recipe names by address, as `fetch_bundle`."""
    bundle = Bundle(url=pinned.url, sha256=pinned.sha256, size=pinned.size_bytes)
    return await fetch_bundle(cache, bundle, pinned.name, report)


def describe_bundle(bundle: Bundle, found: Found) -> Provenance:
    """The provenance of the content of a bundle."""
    return Provenance(
        kind="bundle", reference=bundle.url, digest=bundle.digest, catalogue=found.catalogue, signer=found.signer
    )


def estimate_bytes(found: Found | None, *, build_bytes: int) -> int:
    """The disk space that getting an entry takes, as far as its catalogue says; a build takes `build_bytes`."""
    match found.entry.source if found is not None else None:
        case Distribution():
            return build_bytes
        case Bundle(size=size):
            return size
        case _:
            return 0


def describe_waiting(report: Report, stage: str, name: str) -> Callable[[], None]:
    """A callback that reports that another process is making the same thing."""
    return lambda: report(Progress(stage=stage, text=f"waiting for another process that is making {name}"))


def prune_unnamed(store: ContentStore, *, in_use: frozenset[str], dry_run: bool) -> Pruned:
    """Remove content that lost its name to something newer, unless a VM still boots it."""
    unnamed = store.find_unnamed(in_use=in_use, older_than_s=time.time() - _SETTLED_S)
    if not dry_run:
        for content in unnamed:
            store.discard(content)
    return Pruned(number=len(unnamed), freed_bytes=sum(content.size_bytes for content in unnamed))
