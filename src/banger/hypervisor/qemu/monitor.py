"""QEMU's control socket, through QEMU's own library."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from banger.core.errors import Failed, TimedOut
from banger.core.sockets import short_name

DEADLINE_S: Final = 10.0


async def execute(control: Path, command: str) -> object:
    """Run one command on a connection of its own. Raises `TimedOut` when QEMU hangs, `Failed` when it refuses."""
    from qemu.qmp import QMPClient, QMPError

    client = QMPClient("banger")
    try:
        async with asyncio.timeout(DEADLINE_S):
            with short_name(control) as path:
                await client.connect(path)
            try:
                return await client.execute(command)
            finally:
                await client.disconnect()
    except TimeoutError as error:
        raise TimedOut(f"QEMU did not answer {command} within {DEADLINE_S:g} s") from error
    except (QMPError, OSError) as error:
        raise Failed(f"QEMU did not do {command}: {error}") from error
