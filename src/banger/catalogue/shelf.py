"""All catalogues together: what a name means, and which entries there are."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from banger.catalogue.document import Catalogue, Entry, Kind
from banger.catalogue.embedded import read_embedded
from banger.catalogue.envelope import ENVELOPE_LIMIT_BYTES
from banger.catalogue.keys import parse_keys
from banger.catalogue.memories import Memories
from banger.catalogue.trust import Verdict, judge
from banger.core.config.catalogues import CatalogueSource
from banger.core.errors import BangerError, Failed, NotFound, TimedOut, Unavailable
from banger.core.files import make_private_directory, write_durably
from banger.core.progress import Progress
from banger.core.reading import read_bounded
from banger.core.untrusted import printable

Report = Callable[[Progress], None]


class FetchText(Protocol):
    """Gets a small document from an http or https address.

    Raises `Unavailable`, `TimedOut` or `Failed` when it cannot be had now.
    """

    async def __call__(self, url: str, *, limit_bytes: int) -> bytes: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An entry, the catalogue that has it, and the id of the key that vouches for that; empty for banger's own."""

    entry: Entry
    catalogue: str
    signer: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A configured catalogue, or the reason why it is not trusted."""

    place: str
    verdict: Verdict | None = None
    problem: BangerError | None = None


class Shelf:
    """banger's own catalogue first, so that no other can give its names another meaning; then those of the user.

    A catalogue that is not trusted ends the search, so that the next one cannot give its names another meaning.
    """

    def __init__(
        self,
        sources: Sequence[CatalogueSource],
        *,
        fetch: FetchText,
        memories: Memories,
        copies: Path,
        now: Callable[[], datetime],
    ) -> None:
        self._own: Catalogue = read_embedded()
        self._sources = tuple(sources)
        self._fetch = fetch
        self._memories = memories
        self._copies = copies
        self._now = now
        self._reading = asyncio.Lock()

    async def find(self, kind: Kind, name: str, platform: str, report: Report) -> Found | None:
        """What a name means: the entry of the first catalogue that has it. Raises what `open` finds wrong."""
        if (entry := self._own.find(kind, name, platform)) is not None:
            return Found(entry=entry, catalogue=self._own.name)
        for source in self._sources:
            verdict = await self._open(source, report)
            if (entry := verdict.catalogue.find(kind, name, platform)) is not None:
                return Found(entry=entry, catalogue=verdict.catalogue.name, signer=verdict.signer.id)
        return None

    async def list(self, kind: Kind, report: Report) -> tuple[list[Found], list[Opened]]:
        """All entries, each name once, and the configured catalogues."""
        found = [Found(entry=entry, catalogue=self._own.name) for entry in self._own.entries]
        opened: list[Opened] = []
        for source in self._sources:
            try:
                verdict = await self._open(source, report)
            except BangerError as error:
                opened.append(Opened(place=source.place, problem=error))
                continue
            opened.append(Opened(place=source.place, verdict=verdict))
            found += [
                Found(entry=entry, catalogue=verdict.catalogue.name, signer=verdict.signer.id)
                for entry in verdict.catalogue.entries
            ]
        first: dict[tuple[str, str], Found] = {}
        for one in found:
            if one.entry.kind == kind:
                first.setdefault((one.entry.name, one.entry.platform), one)
        return sorted(first.values(), key=lambda one: (one.entry.name, one.entry.platform)), opened

    async def _open(self, source: CatalogueSource, report: Report) -> Verdict:
        """The catalogue of one source as it is now, or, if that cannot be reached, as it was last seen."""
        place = f"the catalogue {printable(source.place, limit=200)}"
        name = hashlib.sha256(source.place.encode()).hexdigest()[:32]
        copy = self._copies / f"{name}.json"
        async with self._reading:
            report(Progress(stage="catalogue", text=f"reading {place}"))
            try:
                text = await self._read(source, place)
            except (Unavailable, TimedOut, Failed) as error:
                if not source.is_url or not copy.exists():
                    raise
                report(Progress(stage="catalogue", text=f"{error.summary}; using {place} as it was seen last"))
                text = await asyncio.to_thread(read_bounded, copy, limit_bytes=ENVELOPE_LIMIT_BYTES, what=place)
            return await asyncio.to_thread(self._judge, source, name, text, place)

    async def _read(self, source: CatalogueSource, place: str) -> bytes:
        if source.is_url:
            return await self._fetch(source.place, limit_bytes=ENVELOPE_LIMIT_BYTES)
        return await asyncio.to_thread(read_bounded, Path(source.place), limit_bytes=ENVELOPE_LIMIT_BYTES, what=place)

    def _judge(self, source: CatalogueSource, name: str, text: bytes, place: str) -> Verdict:
        memory = self._memories.read(name, what=place)
        verdict = judge(text, place=place, keys=parse_keys(source.keys), memory=memory, now=self._now())
        if verdict.memory != memory:
            self._memories.write(name, verdict.memory)
        copy = self._copies / f"{name}.json"
        with suppress(FileNotFoundError, NotFound):
            if read_bounded(copy, limit_bytes=ENVELOPE_LIMIT_BYTES, what=place) == text:
                return verdict
        if source.is_url:
            make_private_directory(self._copies)
            write_durably(copy, text)
        return verdict
