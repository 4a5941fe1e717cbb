"""All catalogues together: which one has a name first."""

from __future__ import annotations

from dataclasses import dataclass

from banger.catalogue.document import Catalogue, Entry, Kind
from banger.catalogue.embedded import read_embedded


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An entry, and the catalogue that has it."""

    entry: Entry
    catalogue: str


class Shelf:
    """banger's own catalogue first, so that no other can give its names another meaning."""

    def __init__(self) -> None:
        self._own: Catalogue = read_embedded()

    async def find(self, kind: Kind, name: str, platform: str) -> Found | None:
        """The first entry of that name."""
        entry = self._own.find(kind, name, platform)
        return Found(entry=entry, catalogue=self._own.name) if entry is not None else None
