from __future__ import annotations

import asyncio

import pytest

from banger.core.errors import Failed
from banger.core.finishing import finish


async def test_a_result_and_a_failure_are_the_works() -> None:
    async def work(*, fails: bool) -> int:
        if fails:
            raise Failed("no")
        return 7

    assert await finish(work(fails=False)) == 7
    with pytest.raises(Failed):
        await finish(work(fails=True))


@pytest.mark.parametrize("fails", [True, False])
async def test_a_cancellation_comes_after_the_end_and_hides_no_failure(*, fails: bool) -> None:
    heard: list[BaseException] = []
    going = asyncio.Event()

    async def work() -> None:
        await going.wait()
        heard.append(KeyError("the end"))
        if fails:
            raise Failed("no")

    waiting = asyncio.create_task(finish(work(), unheard=heard.append))
    for _ in range(2):
        await asyncio.sleep(0)
        waiting.cancel()
    await asyncio.sleep(0)
    assert not waiting.done()
    going.set()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert [type(error) for error in heard] == [KeyError, *([Failed] if fails else [])]
