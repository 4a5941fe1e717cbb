"""File work in threads ends before its caller does."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from banger.core.threads import Stopped, from_thread, have_many_threads, left_in_thread, run_in_thread


async def test_the_result_and_the_error_come_through() -> None:
    assert await run_in_thread(lambda _check: 7) == 7

    def fail(_check: Callable[[], None]) -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        await run_in_thread(fail)


async def test_cancelling_stops_the_thread_and_waits_for_it() -> None:
    started, ended = threading.Event(), threading.Event()
    seen: list[str] = []

    def work(check: Callable[[], None]) -> None:
        started.set()
        try:
            while not ended.wait(0.005):
                check()
        except Stopped:
            seen.append("stopped")
            raise

    task = asyncio.create_task(run_in_thread(work))
    await asyncio.to_thread(started.wait)
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert seen == ["stopped"]


async def test_calls_from_a_thread_are_made_in_the_loop() -> None:
    heard: list[tuple[int, int]] = []

    def hear(number: int) -> None:
        heard.append((number, threading.get_ident()))

    tell = from_thread(hear)
    await run_in_thread(lambda _check: tell(3))
    await asyncio.sleep(0)
    assert heard == [(3, threading.get_ident())]


async def test_those_who_wait_in_threads_keep_no_others_waiting() -> None:
    have_many_threads()
    go_on = threading.Event()
    busy = [asyncio.create_task(asyncio.to_thread(go_on.wait, 10)) for _ in range(40)]
    await asyncio.to_thread(go_on.set)
    assert all(await asyncio.gather(*busy))


async def test_what_is_left_behind_is_removed_in_a_thread_whatever_happens() -> None:
    left: list[threading.Thread] = []

    @contextmanager
    def manage() -> Iterator[str]:
        try:
            yield "entered"
        finally:
            left.append(threading.current_thread())

    with pytest.raises(KeyError):
        async with left_in_thread(manage()) as entered:
            raise KeyError(entered)
    assert len(left) == 1
    assert left[0] is not threading.main_thread()
