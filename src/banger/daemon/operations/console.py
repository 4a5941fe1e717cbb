"""A guest's console while it prints."""

from __future__ import annotations

import asyncio
from contextlib import closing
from typing import Final

from banger.api.messages import LogsRequest
from banger.core.layout import Layout
from banger.core.vm import State
from banger.daemon.context import Request
from banger.daemon.streams import StreamExchange
from banger.daemon.supervisor import Supervisor
from banger.hypervisor.console import ConsoleFollower, last_lines
from banger.store.connection import Database
from banger.store.records import VmRecord, list_vms

_CHUNK_BYTES: Final = 1 << 18
_POLL_S: Final = 0.1


class FollowConsole:
    """The use case `logs --follow`. It reads files on disk, so that it also works for VMs of an earlier daemon."""

    def __init__(self, *, layout: Layout, database: Database, supervisor: Supervisor) -> None:
        self._layout = layout
        self._database = database
        self._supervisor = supervisor

    async def __call__(
        self, request: Request, record: VmRecord, asked: LogsRequest, exchange: StreamExchange
    ) -> dict[str, object]:
        """Send the last `tail` lines (null: everything kept), then new output, until the VM has ended."""
        with closing(ConsoleFollower(self._layout.vm(record.id).console)) as follower:
            kept = bytearray()
            while data := follower.read(_CHUNK_BYTES):
                kept += data
            tail = asked["tail"]
            await exchange.send_output(bytes(kept) if tail is None else last_lines(bytes(kept), tail))
            while True:
                over = await self._is_over(record)  # before reading: nothing comes after that
                while data := follower.read(_CHUNK_BYTES):
                    if follower.fell_behind:
                        follower.fell_behind = False
                        request.notice(
                            f"some output of {record.name} may be missing here: it came faster than it could be read"
                        )
                    await exchange.send_output(data)
                if over:
                    return {}
                await asyncio.sleep(_POLL_S)

    async def _is_over(self, record: VmRecord) -> bool:
        """Whether nothing more will be written to the console: the VM is stopped, and its VMM is gone."""
        if self._supervisor.find(record.id) is not None:
            return False
        records = {each.id: each for each in await self._database.call(list_vms)}
        return record.id not in records or records[record.id].state is State.STOPPED
