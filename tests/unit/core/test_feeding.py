"""Bytes of the event loop in a thread: all of them, or an error, and never a part taken for the whole."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Callable
from typing import BinaryIO

import pytest

from banger.core.errors import Failed
from banger.core.feeding import run_fed


async def give(*chunks: bytes, then: Exception | None = None) -> AsyncGenerator[bytes, None]:
    for chunk in chunks:
        yield chunk
    if then is not None:
        raise then


def read_all(source: BinaryIO, _check: Callable[[], None]) -> bytes:
    return source.read()


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


async def test_everything_comes_through() -> None:
    data = os.urandom(5_000_001)
    before = descriptors()
    pieces = [data[start : start + 70_000] for start in range(0, len(data), 70_000)]
    assert await run_fed(give(b"", *pieces), read_all) == data
    assert await run_fed(give(), read_all) == b""
    assert descriptors() == before


async def test_a_feed_that_fails_is_no_end_of_file() -> None:
    with pytest.raises(Failed, match="the guest is gone"):
        await run_fed(give(b"part", then=Failed("the guest is gone")), read_all)


async def test_no_more_is_taken_than_is_read() -> None:
    taken = 0

    async def endless() -> AsyncGenerator[bytes, None]:
        nonlocal taken
        while True:
            taken += 1
            yield bytes(1 << 16)

    def read_some(source: BinaryIO, _check: Callable[[], None]) -> int:
        return len(source.read(1 << 20))

    before = descriptors()
    assert await run_fed(endless(), read_some) == 1 << 20
    assert taken < 100
    assert descriptors() == before


async def test_what_the_work_raises_comes_out() -> None:
    def refuse(_source: BinaryIO, _check: Callable[[], None]) -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        await run_fed(give(b"x" * 10_000_000), refuse)


async def test_cancelling_ends_a_read_that_waits() -> None:
    reading = asyncio.Event()
    closed = False

    async def stalled() -> AsyncGenerator[bytes, None]:
        nonlocal closed
        yield b"some"
        reading.set()
        try:
            await asyncio.Event().wait()
        finally:
            closed = True

    before = descriptors()
    running = asyncio.create_task(run_fed(stalled(), read_all))
    await reading.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert closed
    assert descriptors() == before
