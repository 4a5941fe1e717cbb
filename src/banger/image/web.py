"""Files from http and https addresses: the machinery of the registry client, without logins."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from banger.core.errors import BangerError, Denied, Failed, Invalid, NotFound
from banger.core.untrusted import printable
from banger.image.manifest import Descriptor
from banger.image.registry.answers import Answer
from banger.image.registry.downloads import Downloader, Sink
from banger.image.registry.opening import PATIENCE
from banger.image.registry.patience import Patience
from banger.image.registry.requests import Requests
from banger.image.registry.sources import Registries, Source
from banger.image.registry.urls import Url, parse_url

_NOTHING_NAMED: Final[Registries] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class _File(Source):
    """A server that has one file."""

    file: Url

    def url(self, kind: str, name: str) -> Url:  # noqa: ARG002 - whatever is asked for, it is the file
        return self.file


class _Nobody:
    """Never logs in."""

    def current(self, _source: Source) -> None:
        """No login."""

    async def answer(self, source: Source, _answer: Answer, *, used: str | None) -> str:  # noqa: ARG002
        raise await self.explain(source)

    async def explain(self, source: Source) -> BangerError:
        """The error for a server that wants a login."""
        return Denied(
            f"{source.origin} wants a login for {printable(source.repository, limit=200)}",
            hint="what catalogues name has to be there for everybody who can reach it",
        )


class WebFiles:
    """Downloads files. Opened by `open_web`."""

    def __init__(self, requests: Requests, downloader: Downloader) -> None:
        self._requests = requests
        self._downloader = downloader

    async def read(self, url: str, *, limit_bytes: int) -> bytes:
        """Read a small file. Raises `NotFound`, `Denied`, `Unavailable`, `TimedOut`, `Failed`."""
        source = _locate(url)

        async def ask() -> bytes:
            async with self._requests.open(source, "GET", source.file) as answer:
                if answer.status != 200:
                    raise await self._explain(source, answer)
                return await answer.read(limit=limit_bytes)

        return await self._requests.persist(ask)

    async def download(self, url: str, blob: Descriptor, sink: Sink) -> None:
        """Complete `sink` with a file of known digest and size, and check it. Raises as `read`."""
        source = _locate(url)
        try:
            await self._downloader.fetch(source, blob, sink)
        except NotFound as error:
            raise _gone(source) from error

    async def _explain(self, source: _File, answer: Answer) -> Exception:
        if answer.status in (404, 410):
            return _gone(source)
        refusal = await self._requests.refusal(source, answer, what=printable(source.repository, limit=200))
        if isinstance(refusal, Failed):
            return Failed(refusal.summary, hint="check the address, or ask the server's operator")
        return refusal


@asynccontextmanager
async def open_web(environment: Mapping[str, str], *, patience: Patience = PATIENCE) -> AsyncIterator[WebFiles]:
    """A client for one piece of work. `environment` says which proxies to use."""
    from banger.image.registry.network import Network

    network = Network(patience=patience, environment=environment)
    requests = Requests(network, _Nobody(), registries=_NOTHING_NAMED, patience=patience, now_s=time.time)
    try:
        yield WebFiles(requests, Downloader(requests, patience=patience))
    finally:
        await network.aclose()


def _locate(url: str) -> _File:
    try:
        file = parse_url(url)
    except ValueError as error:
        raise Invalid(f"{printable(url, limit=200)} is not a usable address: {error}") from error
    return _File(host=file.origin.authority, origin=file.origin, repository=file.target, file=file)


def _gone(source: _File) -> NotFound:
    return NotFound(f"there is nothing at {printable(str(source.file), limit=300)}", hint="check the address")
