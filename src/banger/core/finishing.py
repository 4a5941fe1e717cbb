"""Work that is finished even if its caller is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


async def finish(
    work: Coroutine[Any, Any, Result], *, unheard: Callable[[BaseException], None] = lambda _error: None
) -> Result:
    """Run `work` to its end; a cancellation meanwhile is raised after it. The work must have deadlines of its own.

    `unheard` gets a failure that the cancellation would otherwise hide.
    """
    task = asyncio.create_task(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        if not task.cancelled() and (failure := task.exception()) is not None:
            unheard(failure)
        raise cancelled
    return task.result()
