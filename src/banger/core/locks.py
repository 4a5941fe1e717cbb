"""Locks between processes, and between tasks of one process: flock(2) belongs to the open file, not to the process."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from banger.core.errors import TimedOut

_RETRY_S: Final = 0.05


@asynccontextmanager
async def exclusive_lock(
    path: Path, *, deadline_s: float, waiting: Callable[[], None] = lambda: None
) -> AsyncIterator[None]:
    """Hold the lock file `path` (made if missing, never removed). `waiting` is called once if somebody else has it.

    The kernel gives the lock back when its holder dies. Raises `TimedOut` after `deadline_s` of waiting.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if not try_lock(descriptor):
            waiting()
            try:
                async with asyncio.timeout(deadline_s):
                    while not try_lock(descriptor):  # noqa: ASYNC110 - another process cannot set our Event
                        await asyncio.sleep(_RETRY_S)
            except TimeoutError as error:
                raise TimedOut(
                    f"somebody else has held {path.name} for {deadline_s:g} s",
                    hint="see with `fuser` who has the file open",
                    path=str(path),
                ) from error
        yield
    finally:
        os.close(descriptor)


def try_lock(descriptor: int) -> bool:
    """Take the exclusive lock of an open file or directory if it is free; closing the descriptor gives it back."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
