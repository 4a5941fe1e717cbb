"""Files from elsewhere that a recipe names by address, digest and size."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from banger.core.errors import BangerError, Denied, NotFound, TimedOut, Unavailable
from banger.core.progress import Progress

# The address does not answer, or not to us. Content that is not what was pinned is a different case.
ABSENT: Final[tuple[type[BangerError], ...]] = (Denied, NotFound, TimedOut, Unavailable)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pinned:
    """One file. The recipe goes on without an `optional` one where it cannot be had."""

    url: str
    sha256: str
    size_bytes: int
    optional: bool = False

    @property
    def name(self) -> str:
        """Its name in progress messages: the last part of its address."""
        return self.url.partition("?")[0].rstrip("/").rpartition("/")[2]


# Gets one into the cache, and checks it.
Fetch = Callable[[Pinned], Awaitable[Path]]


async def fetch_wanted(pinned: Pinned, fetch: Fetch, report: Callable[[Progress], None]) -> Path | None:
    """Its place in the cache, or None, with a notice, for an optional one that is not available.

    Raises what `fetch` does: also for an optional one whose bytes are others.
    """
    try:
        return await fetch(pinned)
    except ABSENT as error:
        if not pinned.optional:
            raise
        report(Progress(stage="download", text=f"going on without {pinned.name}: {error.summary}"))
        return None
