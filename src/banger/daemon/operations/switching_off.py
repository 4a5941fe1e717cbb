"""Asking a guest to write everything to its disk and to switch itself off, and how long to wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Protocol

from banger.core.errors import BangerError

TEXT_WRITING: Final = "writing the guest's data to its disk"


class Guest(Protocol):
    """The part of a channel that is needed here."""

    async def ping(self, *, deadline_s: float) -> None: ...

    async def sync(self) -> None: ...

    async def shutdown(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Deadlines in seconds. `banger vm stop --help` states them."""

    answer_s: float = 10.0  # a guest that says nothing for so long hangs
    write_s: float = 300.0  # gigabytes that were never synced, on a slow disk that others use too
    switch_off_s: float = 45.0  # systemd under software emulation needs over ten
    hang_up_s: float = 1.0  # a VMM that ends hangs up before its end is noticed


PATIENCE: Final = Patience()


async def switch_off(
    guest: Guest, ended: asyncio.Future[object], *, tell: Callable[[str], None], patience: Patience = PATIENCE
) -> str | None:
    """Return None when the guest has switched itself off (`ended` is done), else the reason why it has to be ended.

    `tell` is called with what happens meanwhile.
    """
    asking = asyncio.ensure_future(_ask(guest, tell, patience))
    try:
        await asyncio.wait((asking, ended), return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            return None
        reason = asking.result()
        if reason is not None:
            await asyncio.wait((ended,), timeout=patience.hang_up_s)
            return None if ended.done() else reason
        await asyncio.wait((ended,), timeout=patience.switch_off_s)
        if ended.done():
            return None
        with suppress(BangerError, TimeoutError):  # what its services wrote while they ended
            async with asyncio.timeout(patience.answer_s):
                await guest.sync()
        return f"it did not switch off within {patience.switch_off_s:g} s"
    finally:
        asking.cancel()
        await asyncio.wait((asking,))


async def _ask(guest: Guest, tell: Callable[[str], None], patience: Patience) -> str | None:
    """Ask; returns what is wrong, or None. The shutdown syncs again, which is quick after the first time."""
    try:
        await guest.ping(deadline_s=patience.answer_s)
        async with asyncio.timeout(patience.write_s):
            tell(TEXT_WRITING)
            await guest.sync()
            tell("waiting for the guest to switch itself off")
            await guest.shutdown()
    except BangerError as error:
        return error.summary
    except TimeoutError:
        return f"it did not write its data to its disk within {patience.write_s:g} s"
    return None
