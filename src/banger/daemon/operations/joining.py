"""Joining a connection of the host to one inside a guest: what `connect` and `forward` share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from banger.guest.streams import Stream


async def feed_guest(guest: Stream, read: Callable[[], Awaitable[bytes | None]]) -> None:
    """Send what `read` gives, at the guest's pace, until it gives None; the guest then sees an end of file."""
    while (data := await read()) is not None:
        await guest.write(data)
    guest.write_eof()
