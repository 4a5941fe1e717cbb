"""The registry client: names become digests, digests become bytes. Sources are asked in order until one helps.

Source: the OCI distribution specification 1.1.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, TypeVar

from banger.core.errors import BangerError, Failed, TimedOut, Unavailable
from banger.core.untrusted import printable
from banger.image.digests import compute_digest, parse_digest
from banger.image.manifest import DOCUMENT_LIMIT_BYTES, INDEX_TYPES, MANIFEST_TYPES, Descriptor
from banger.image.reference import Reference
from banger.image.registry.answers import Answer
from banger.image.registry.downloads import Downloader, Sink
from banger.image.registry.requests import Requests
from banger.image.registry.sources import Registries, Source, plan_sources

Result = TypeVar("Result")

log = logging.getLogger(__name__)

_ACCEPT: Final = (("Accept", ", ".join((*MANIFEST_TYPES, *INDEX_TYPES))),)
# What servers say that do not know: the document itself then tells what it is.
_SAYS_NOTHING: Final = ("application/json", "application/octet-stream", "binary/octet-stream")
_DIGEST_HEADER: Final = "Docker-Content-Digest"


class RegistryClient:
    """Reads images from registries. Opened by `banger.image.registry.opening.open_client`."""

    def __init__(self, requests: Requests, downloader: Downloader, *, registries: Registries) -> None:
        self._requests = requests
        self._downloader = downloader
        self._registries = registries
        self._away: set[Source] = set()

    async def resolve(self, reference: Reference) -> str:
        """The digest that a reference means now. Raises `NotFound`, `Denied`, `Unavailable`, `TimedOut`, `Failed`."""
        if reference.digest is not None:
            return reference.digest

        async def ask(source: Source) -> str:
            url = source.url("manifests", reference.wanted)
            async with self._requests.open(source, "HEAD", url, _ACCEPT) as answer:
                if answer.status == 200 and (digest := _said_digest(answer)) is not None:
                    return digest
                if answer.status in (429, 500, 502, 503, 504):
                    raise await self._requests.refusal(source, answer, what=_named(reference))
            # Not every registry answers this question without the document, and a refusal has no reason in it.
            content, _ = await self._get_manifest(source, reference, reference.wanted)
            return compute_digest(content)

        return await self._ask_sources(reference, ask)

    async def read_manifest(self, reference: Reference, digest: str) -> tuple[bytes, str | None]:
        """The manifest or index of that digest, and the media type that came with it. Raises as `resolve`."""

        async def ask(source: Source) -> tuple[bytes, str | None]:
            content, media_type = await self._get_manifest(source, reference, digest)
            found = compute_digest(content, like=digest)
            if found != digest:
                raise Failed(
                    f"{source.host} sent a manifest that is {found}, not {digest}",
                    hint="the registry, or something between it and us, changes what it sends; nothing of it was kept",
                )
            return content, media_type

        return await self._ask_sources(reference, ask)

    async def download(self, reference: Reference, blob: Descriptor, sink: Sink) -> None:
        """Complete `sink` with a blob, and check it. Raises as `resolve`; then what came so far is in `sink`."""
        await self._ask_sources(reference, lambda source: self._downloader.fetch(source, blob, sink), persist=False)

    async def _get_manifest(self, source: Source, reference: Reference, name: str) -> tuple[bytes, str | None]:
        async with self._requests.open(source, "GET", source.url("manifests", name), _ACCEPT) as answer:
            if answer.status != 200:
                raise await self._requests.refusal(source, answer, what=_named(reference))
            content = await answer.read(limit=DOCUMENT_LIMIT_BYTES)
            said = _said_digest(answer)
            if answer.length is not None and answer.length != len(content):
                raise answer.error(f"announced {answer.length} bytes and sent {len(content)}")
            media_type = (answer.header("Content-Type") or "").partition(";")[0].strip().lower()
        if said is not None and said != compute_digest(content, like=said):
            raise answer.error("announced another digest than that of what it sent")
        return content, None if media_type in ("", *_SAYS_NOTHING) else media_type

    async def _ask_sources(
        self, reference: Reference, ask: Callable[[Source], Awaitable[Result]], *, persist: bool = True
    ) -> Result:
        """Ask the mirrors, then the registry. The error is the registry's own.

        A mirror that cannot be reached is not asked again: each time would take as long.
        """
        *mirrors, registry = plan_sources(reference, self._registries)
        for mirror in mirrors:
            if mirror in self._away:
                continue
            try:
                return await self._ask(mirror, ask, persist=persist)
            except BangerError as error:
                log.warning("%s: the mirror %s did not help: %s", reference, mirror.host, error.summary)
                if isinstance(error, Unavailable | TimedOut):
                    self._away.add(mirror)
        return await self._ask(registry, ask, persist=persist)

    async def _ask(self, source: Source, ask: Callable[[Source], Awaitable[Result]], *, persist: bool) -> Result:
        return await (self._requests.persist(lambda: ask(source)) if persist else ask(source))


def _named(reference: Reference) -> str:
    return printable(reference.familiar, limit=200)


def _said_digest(answer: Answer) -> str | None:
    """The digest that a registry announces for a manifest; None if it is missing or malformed."""
    with suppress(BangerError):
        return parse_digest(answer.header(_DIGEST_HEADER) or "")
    return None
