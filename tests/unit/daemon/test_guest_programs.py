"""Programs in a guest that say nothing more: whoever waits for them is told so, and does not wait for ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from banger.core.errors import TimedOut
from banger.daemon.operations.guest_programs import GuestPrograms
from banger.guest.channel import Channel
from banger.guest.streams import Chunk


class Mute:
    """A program of a hostile agent: a word, the end of its output if it is `closed`, and then nothing ever."""

    def __init__(self, *, closed: bool) -> None:
        self._chunks = [Chunk(0, b"word"), *([None] if closed else [])]

    async def read(self) -> Chunk | None:
        if not self._chunks:
            await asyncio.Event().wait()
        return self._chunks.pop(0)

    async def wait(self) -> Any:
        await asyncio.Event().wait()

    @asynccontextmanager
    async def exec(self, _request: object) -> AsyncIterator[Mute]:
        yield self


@pytest.mark.parametrize("closed", [True, False])
async def test_silence_has_an_end(closed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("banger.daemon.operations.guest_programs.SILENCE_DEADLINE_S", 0.01)
    guest = GuestPrograms(cast("Channel", Mute(closed=closed)))
    said: list[bytes] = []

    async def listen() -> None:
        async with guest.program(["git"], cwd="/", environment={}) as program:
            said.extend([data async for data in program.output()])
            await program.ended()

    with pytest.raises(TimedOut, match="the guest did not say"):
        await listen()
    assert said == ([b"word"] if closed else [])
