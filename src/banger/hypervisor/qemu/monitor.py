"""QEMU's control socket, through QEMU's own library."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Final

from banger.core.errors import Failed, TimedOut
from banger.core.sockets import connect_unix

if TYPE_CHECKING:
    import socket

DEADLINE_S: Final = 10.0
_AGAIN_S: Final = 0.05
_HINT: Final = "`banger vm kill` ends a VM whose QEMU hangs"


async def execute(control: Path, command: str, *, deadline_s: float = DEADLINE_S) -> object:
    """Run one command on a connection of its own. Raises `TimedOut` when QEMU hangs, `Failed` when it refuses."""
    from qemu.qmp import QMPClient, QMPError

    client = QMPClient("banger")
    missing = "took no connection"
    try:
        async with asyncio.timeout(deadline_s):
            with await _connect(control) as connection:
                missing = f"did not answer {command}"
                await client.connect(connection)
                try:
                    return await client.execute(command)
                finally:
                    await client.disconnect()
    except TimeoutError as error:
        raise TimedOut(f"QEMU hangs: it {missing} within {deadline_s:g} s", hint=_HINT) from error
    except (QMPError, OSError) as error:
        raise Failed(f"QEMU did not do {command}: {error}") from error


async def _connect(control: Path) -> socket.socket:
    """Wait for room in the backlog: QEMU serves one connection at a time, and none while it hangs.

    A Unix socket says EAGAIN when there is none (connect(2)), and tells nobody when there is. asyncio, and with it
    QEMU's library, takes that for a connection that is being made, and uses it.
    """
    while True:
        try:
            return connect_unix(control, timeout_s=0)
        except BlockingIOError:
            await asyncio.sleep(_AGAIN_S)
