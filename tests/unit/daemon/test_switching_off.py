"""A guest is waited for as long as it works and as was said, and not longer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from banger.core.errors import TimedOut, Unavailable
from banger.daemon.operations.switching_off import PATIENCE, TEXT_WRITING, Patience, switch_off

SOON = Patience(answer_s=0.02, write_s=0.05, switch_off_s=0.05, hang_up_s=0.01)
LONG = Patience(answer_s=60, write_s=60, switch_off_s=60, hang_up_s=0.2)


class Guest:
    """Does what it is asked, unless it `hangs_at` something; `ended` is done when it has switched itself off."""

    def __init__(self, *, hangs_at: str = "", ends: bool = True) -> None:
        self.asked: list[str] = []
        self.ended: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self.written = asyncio.Event()
        self._hangs_at = hangs_at
        self._ends = ends

    async def ping(self, *, deadline_s: float) -> None:
        await self._do("ping", lambda: TimedOut(f"the guest did not answer within {deadline_s:g} s"))

    async def sync(self) -> None:
        await self._do("sync", None)

    async def shutdown(self) -> None:
        await self._do("shutdown", None)
        if self._ends:
            self.ended.set_result(None)

    async def _do(self, what: str, error: Callable[[], Exception] | None) -> None:
        self.asked.append(what)
        if what == self._hangs_at:
            if error is not None:
                raise error()
            await self.written.wait()


async def test_data_is_written_before_anything_is_switched_off() -> None:
    guest, told = Guest(), list[str]()
    assert await switch_off(guest, guest.ended, tell=told.append, patience=LONG) is None
    assert guest.asked == ["ping", "sync", "shutdown"]
    assert told[0] == TEXT_WRITING


async def test_a_guest_that_writes_for_long_is_waited_for() -> None:
    """Longer than a guest may take to answer, and than it may take to switch off."""
    guest = Guest(hangs_at="sync")
    patience = Patience(answer_s=0.01, write_s=60, switch_off_s=0.01)
    stopping = asyncio.create_task(switch_off(guest, guest.ended, tell=lambda _text: None, patience=patience))
    await asyncio.sleep(0.2)
    assert not stopping.done()
    guest.written.set()
    assert await stopping is None
    assert guest.ended.done()


async def test_a_guest_that_does_not_answer_is_not_waited_for() -> None:
    guest = Guest(hangs_at="ping")
    assert "did not answer" in str(await switch_off(guest, guest.ended, tell=lambda _text: None, patience=LONG))
    assert guest.asked == ["ping"]


async def test_a_guest_that_never_finishes_writing_is_given_up() -> None:
    guest = Guest(hangs_at="sync")
    assert "write its data" in str(await switch_off(guest, guest.ended, tell=lambda _text: None, patience=SOON))


async def test_a_guest_that_does_not_switch_off_writes_once_more() -> None:
    guest = Guest(ends=False)
    assert "did not switch off" in str(await switch_off(guest, guest.ended, tell=lambda _text: None, patience=SOON))
    assert guest.asked == ["ping", "sync", "shutdown", "sync"]


async def test_a_machine_that_ends_by_itself_meanwhile_is_done() -> None:
    guest = Guest(hangs_at="sync")
    stopping = asyncio.create_task(switch_off(guest, guest.ended, tell=lambda _text: None, patience=LONG))
    await asyncio.sleep(0.01)
    guest.ended.set_result(None)
    assert await stopping is None


async def test_a_machine_that_ends_hangs_up_first() -> None:
    class Killed(Guest):
        async def sync(self) -> None:
            asyncio.get_running_loop().call_later(0.01, self.ended.set_result, None)
            raise Unavailable("the connection to the guest was lost")

    guest = Killed()
    assert await switch_off(guest, guest.ended, tell=lambda _text: None, patience=LONG) is None


async def test_a_channel_that_is_lost_is_a_reason() -> None:
    class Lost(Guest):
        async def sync(self) -> None:
            raise Unavailable("the connection to the guest was lost")

    guest = Lost()
    assert await switch_off(guest, guest.ended, tell=lambda _text: None, patience=LONG) == (
        "the connection to the guest was lost"
    )


def test_the_times_are_those_that_the_help_tells() -> None:
    assert (PATIENCE.answer_s, PATIENCE.write_s, PATIENCE.switch_off_s) == (10, 5 * 60, 45)
