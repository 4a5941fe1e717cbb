"""Long file work in a thread that has ended before its caller goes on, even when cancelled."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, asynccontextmanager, suppress
from typing import Final, TypeVar

from banger.core.errors import Failed
from banger.core.finishing import finish

Result = TypeVar("Result")


_THREADS: Final = 64


class Stopped(Failed):
    """The work was given up because its caller was cancelled."""


def have_many_threads() -> None:
    """Let the running event loop have as many threads as requests may keep busy at once; they begin when needed.

    By itself it has four more than there are processors, and some keep one for minutes: one that makes an image waits
    in it for what the guest sends. Everybody else would wait for those, also whoever wants that VM to end.
    """
    threads = ThreadPoolExecutor(max_workers=_THREADS, thread_name_prefix="work")
    asyncio.get_running_loop().set_default_executor(threads)


async def run_in_thread(work: Callable[[Callable[[], None]], Result]) -> Result:
    """Run `work` in a thread and return its result.

    `work` gets a function to call now and then, which raises `Stopped` once this call was cancelled. The cancellation
    is raised only when the thread has ended, so that what it writes can be removed safely.
    """
    stop = threading.Event()

    def check() -> None:
        if stop.is_set():
            raise Stopped("given up")

    task = asyncio.create_task(asyncio.to_thread(work, check))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        stop.set()
        while not task.done():
            with suppress(asyncio.CancelledError):  # raised again below, when the thread is gone
                await asyncio.wait({task})
        task.exception()  # looked at, so that asyncio does not complain
        raise


@asynccontextmanager
async def left_in_thread(manager: AbstractContextManager[Result]) -> AsyncIterator[Result]:
    """Enter `manager` here and leave it in a thread: one that removes what was made meanwhile may take seconds.

    It does not hear of errors, so it has to be one that ends the same way whatever happens.
    """
    entered = manager.__enter__()
    try:
        yield entered
    finally:
        await finish(asyncio.to_thread(manager.__exit__, None, None, None))


def from_thread(call: Callable[[Result], object]) -> Callable[[Result], None]:
    """A version of `call` for other threads: it runs in the event loop in which this function was called."""
    loop = asyncio.get_running_loop()
    return lambda argument: _ignore(loop.call_soon_threadsafe(call, argument))


def _ignore(_result: object) -> None:
    pass
