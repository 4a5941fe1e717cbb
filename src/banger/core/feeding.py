"""Bytes that arrive in the event loop, read as a file by a thread."""

from __future__ import annotations

import asyncio
import fcntl
import io
import os
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Future
from contextlib import aclosing, suppress
from typing import BinaryIO, Final, TypeVar, cast

from banger.core.finishing import finish
from banger.core.threads import Stopped, run_in_thread

_PIPE_BYTES: Final = 1 << 20
_BUFFER_BYTES: Final = 256 << 10

Result = TypeVar("Result")


class _Source(io.RawIOBase):
    """The reading end. After the last byte it reads as end of file, or raises the failure of the feed."""

    def __init__(self, descriptor: int, outcome: Future[None]) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._outcome = outcome

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object, /) -> int:
        count = os.readv(self._descriptor, [cast("bytearray", buffer)])
        if count == 0:
            self._outcome.result()
        return count

    def close(self) -> None:
        if not self.closed:
            os.close(self._descriptor)
        super().close()


async def run_fed(
    chunks: AsyncGenerator[bytes, None], work: Callable[[BinaryIO, Callable[[], None]], Result]
) -> Result:
    """Run `work` in a thread on a file with the bytes of `chunks`. Its second argument is `run_in_thread`'s check.

    Only as much is taken from `chunks` as is read. When they raise, reading raises too instead of ending: nobody
    takes a part for the whole. They are closed when `work` has ended or this call is cancelled.
    """
    reading, writing = os.pipe()
    with suppress(OSError):  # a small one will do too
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    os.set_blocking(writing, False)
    outcome: Future[None] = Future()

    def read(check: Callable[[], None]) -> Result:
        with io.BufferedReader(_Source(reading, outcome), _BUFFER_BYTES) as source:
            return work(cast("BinaryIO", source), check)

    feeding = asyncio.create_task(_feed(chunks, writing, outcome))
    working = asyncio.create_task(run_in_thread(read))
    try:
        await asyncio.wait({working})
        return working.result()
    finally:
        feeding.cancel()
        working.cancel()
        await finish(_end(feeding, working))


async def _end(*tasks: asyncio.Task[object]) -> None:
    await asyncio.gather(*tasks, return_exceptions=True)


async def _feed(chunks: AsyncGenerator[bytes, None], descriptor: int, outcome: Future[None]) -> None:
    try:
        async with aclosing(chunks):
            async for chunk in chunks:
                await _write(descriptor, chunk)
        outcome.set_result(None)
    except asyncio.CancelledError:
        outcome.set_exception(Stopped("given up"))
        raise
    except BrokenPipeError:
        outcome.set_exception(Stopped("nobody reads any more"))
    except BaseException as error:
        outcome.set_exception(error)
        raise
    finally:
        os.close(descriptor)


async def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:
            await _until_writable(descriptor)


async def _until_writable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    writable = asyncio.Event()
    loop.add_writer(descriptor, writable.set)
    try:
        await writable.wait()
    finally:
        loop.remove_writer(descriptor)
