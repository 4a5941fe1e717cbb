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
    """Hold the lock file `path` (made if missing, never removed). `waiting` is called once if another holds it.

    The kernel releases the lock when its holder dies. Raises `TimedOut` after `deadline_s` of waiting.
    """
    async with _lock(path, try_lock, deadline_s=deadline_s, waiting=waiting):
        yield


@asynccontextmanager
async def shared_lock(path: Path, *, deadline_s: float) -> AsyncIterator[None]:
    """Hold the lock file, shared with other shared holders but with no exclusive one. As `exclusive_lock`."""
    async with _lock(path, _try_shared_lock, deadline_s=deadline_s, waiting=lambda: None):
        yield


@asynccontextmanager
async def _lock(
    path: Path, take: Callable[[int], bool], *, deadline_s: float, waiting: Callable[[], None]
) -> AsyncIterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if not take(descriptor):
            waiting()
            try:
                async with asyncio.timeout(deadline_s):
                    while not take(descriptor):  # noqa: ASYNC110 - another process cannot set our Event
                        await asyncio.sleep(_RETRY_S)
            except TimeoutError as error:
                raise TimedOut(
                    f"another process has held {path.name} for {deadline_s:g} s",
                    hint="`fuser` shows which process has the file open",
                    path=str(path),
                ) from error
        yield
    finally:
        os.close(descriptor)


def is_locked(path: Path) -> bool:
    """Whether a living process has locked a file or directory. False if it is missing or a symbolic link."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return not try_lock(descriptor)
    finally:
        os.close(descriptor)


def try_lock(descriptor: int) -> bool:
    """Take the exclusive lock of an open file or directory if it is free; closing the descriptor gives it back."""
    return _try(descriptor, fcntl.LOCK_EX)


def _try_shared_lock(descriptor: int) -> bool:
    return _try(descriptor, fcntl.LOCK_SH)


def _try(descriptor: int, operation: int) -> bool:
    try:
        fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
