"""Directories for the time of one piece of work."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from banger.core.files import make_private_directory
from banger.core.threads import left_in_thread


@asynccontextmanager
async def scratch_directory(place: Path) -> AsyncIterator[Path]:
    """A new private directory below `place`, which is made if it is missing; it is removed in a thread at the end.

    What cannot be removed is left to whoever clears `place` up.
    """
    make_private_directory(place)
    temporary = tempfile.TemporaryDirectory(dir=place, ignore_cleanup_errors=True)
    async with left_in_thread(temporary) as directory:
        yield Path(directory)
