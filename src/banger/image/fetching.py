"""Fetching an image from a registry: its manifest, its configuration, and its layers into the cache."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, TypeVar

from banger.core.errors import Failed, Internal
from banger.core.progress import Progress
from banger.core.untrusted import printable
from banger.image.blob_cache import BlobCache, Partial
from banger.image.config import ImageConfig, check_config, parse_config
from banger.image.digests import shorten
from banger.image.manifest import Descriptor, Index, Manifest, parse_manifest, select_manifest
from banger.image.platforms import Platform
from banger.image.reference import Reference

Result = TypeVar("Result")
Report = Callable[[Progress], None]

_AT_ONCE: Final = 4
_STAGE: Final = "download"


class Registry(Protocol):
    """The part of a registry client that is needed here."""

    async def resolve(self, reference: Reference) -> str:
        """The digest that a reference means now."""

    async def read_manifest(self, reference: Reference, digest: str) -> tuple[bytes, str | None]:
        """The checked content of a manifest or index, and the media type that came with it."""

    async def download(self, reference: Reference, blob: Descriptor, sink: Partial) -> None:
        """Complete a blob, and check it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedLayer:
    """A layer as it was transferred: `size` bytes in `path`, checked against `digest`.

    `diff_id` is the digest of what it unpacks to, which is for whoever unpacks it to check.
    """

    digest: str
    size: int
    media_type: str
    diff_id: str
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedImage:
    """`digest` is the manifest's; `named_digest` what the reference meant: the same, or that of an index over it."""

    digest: str
    named_digest: str
    manifest: Manifest
    config: ImageConfig
    layers: tuple[FetchedLayer, ...]


async def fetch_image(
    reference: Reference, platform: Platform, *, client: Registry, cache: BlobCache, report: Report
) -> FetchedImage:
    """Fetch the missing parts of an image. If all are in the cache, a reference with a digest needs no network.

    Whoever reads the layers holds `cache.in_use()` around this and the reading. Raises the errors of the client and of
    the cache, `Unsupported` for what is not an image for `platform`, `Failed` for what cannot be believed.
    """
    what = printable(reference.familiar, limit=200)
    async with cache.in_use():
        report(Progress(stage="registry", text=f"looking for {what}"))
        named_digest = await client.resolve(reference)
        pull = _Pull(reference, client, cache, what)
        digest, manifest = await pull.read_manifest(named_digest, platform)
        config = await pull.read_config(manifest.config)
        check_config(config, manifest, platform, what=what)
        paths = await pull.fetch_layers(manifest.layers, report)
    return FetchedImage(
        digest=digest,
        named_digest=named_digest,
        manifest=manifest,
        config=config,
        layers=tuple(
            FetchedLayer(
                digest=layer.digest,
                size=layer.size,
                media_type=layer.media_type,
                diff_id=diff_id,
                path=paths[layer.digest],
            )
            for layer, diff_id in zip(manifest.layers, config.diff_ids, strict=True)
        ),
    )


class _Pull:
    """One pull."""

    def __init__(self, reference: Reference, client: Registry, cache: BlobCache, what: str) -> None:
        self._reference = reference
        self._client = client
        self._cache = cache
        self._what = what

    async def read_manifest(self, digest: str, platform: Platform) -> tuple[str, Manifest]:
        """The manifest for `platform` and its digest, through an index if there is one."""
        content, media_type = await self._read_document(digest, None)
        found = parse_manifest(content, media_type=media_type, what=f"the manifest of {self._what}")
        if isinstance(found, Manifest):
            return digest, found
        chosen = select_manifest(found, platform, what=self._what)
        content, media_type = await self._read_document(chosen.digest, chosen.size)
        what = f"the manifest of {self._what} for {platform}"
        if media_type not in (None, chosen.media_type):
            raise Failed(
                f"{what} was sent as {printable(media_type or '', limit=80)}, and its index says {chosen.media_type}",
                hint="the registry sent something that no honest tool writes; ask its operator, or try another tag",
            )
        manifest = parse_manifest(content, media_type=chosen.media_type, what=what)
        if isinstance(manifest, Index):
            raise Internal(f"{what} is an index, although it was read as an image")
        return chosen.digest, manifest

    async def read_config(self, descriptor: Descriptor) -> ImageConfig:
        """The configuration, from the cache or through it."""
        content = self._cache.read(descriptor.digest)
        if content is None:
            path = await self._fetch(descriptor)
            content = await asyncio.to_thread(path.read_bytes)
        return parse_config(content, what=f"the configuration of {self._what}")

    async def fetch_layers(self, layers: Sequence[Descriptor], report: Report) -> dict[str, Path]:
        """The files of the layers by digest; some at a time, each once."""
        unique = {layer.digest: layer for layer in layers}
        self._cache.check_space(unique.values())
        told = _Tally(list(unique.values()), self._what, report)
        limit = asyncio.Semaphore(_AT_ONCE)

        async def fetch(layer: Descriptor) -> Path:
            async with limit:
                return await self._fetch(layer, told=told)

        paths = await _all_or_nothing([fetch(layer) for layer in unique.values()])
        return dict(zip(unique, paths, strict=True))

    async def _fetch(self, blob: Descriptor, told: _Tally | None = None) -> Path:
        async def download(partial: Partial) -> None:
            await self._client.download(self._reference, blob, partial)

        if told is None:
            return await self._cache.fetch(blob, download)
        path = await self._cache.fetch(
            blob, download, progressed=lambda done: told.moved(blob, done), waiting=lambda: told.waiting(blob)
        )
        told.moved(blob, blob.size)
        return path

    async def _read_document(self, digest: str, size: int | None) -> tuple[bytes, str | None]:
        """A manifest or an index, from the cache or into it. Raises `Failed` for one of another size than was said."""
        content, media_type = self._cache.read(digest), None
        if content is None:
            content, media_type = await self._client.read_manifest(self._reference, digest)
            if size is None or len(content) == size:
                await self._cache.put(digest, content)
        if size is not None and len(content) != size:
            raise Failed(
                f"the manifest {shorten(digest)} of {self._what} has {len(content)} bytes, and its index says {size}",
                hint="the registry sent something that no honest tool writes; ask its operator, or try another tag",
            )
        return content, media_type


class _Tally:
    """The progress of the layers, each and together."""

    def __init__(self, layers: Sequence[Descriptor], what: str, report: Report) -> None:
        self._layers = {layer.digest: number for number, layer in enumerate(layers, start=1)}
        self._total = sum(layer.size for layer in layers)
        self._done: dict[str, int] = {}
        self._what = what
        self._report = report

    def moved(self, layer: Descriptor, done: int) -> None:
        """A layer has `done` bytes now."""
        self._done[layer.digest] = done
        self._tell_layer(layer, "downloading", done)
        self._report(
            Progress(
                stage=_STAGE,
                text=f"downloading {self._what}",
                done=sum(self._done.values()),
                total=self._total,
                unit="bytes",
            )
        )

    def waiting(self, layer: Descriptor) -> None:
        """Another pull is downloading it."""
        self._tell_layer(layer, "waiting for another pull of", self._done.get(layer.digest, 0))

    def _tell_layer(self, layer: Descriptor, verb: str, done: int) -> None:
        number = self._layers[layer.digest]
        self._report(
            Progress(
                stage=f"{_STAGE}-{number}",
                text=f"{verb} layer {number} of {len(self._layers)} ({shorten(layer.digest)})",
                done=done,
                total=layer.size,
                unit="bytes",
                detail=True,
            )
        )


async def _all_or_nothing(works: Sequence[Awaitable[Result]]) -> list[Result]:
    """All results in their order; on the first failure the others are cancelled and awaited before it is raised."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
