"""Programs in a guest, for operations on a workspace there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from banger.daemon.operations.commands import GUEST_PATH
from banger.guest.channel import Channel
from banger.guest.process import ExecRequest, GuestProcess
from banger.guest.streams import within
from banger.workspace.export import Ended

STDERR_LIMIT_BYTES: Final = 4096
SILENCE_DEADLINE_S: Final = 600.0  # git may have to read all of a large workspace before it says a word


@dataclass(slots=True)
class _Program:
    """A running program in the guest, whose output is read as it comes."""

    process: GuestProcess
    stderr: bytearray = field(default_factory=bytearray)

    async def output(self) -> AsyncIterator[bytes]:
        while True:
            async with within(SILENCE_DEADLINE_S, "say anything more"):
                chunk = await self.process.read()
            if chunk is None:
                return
            if chunk.channel == 0:
                yield chunk.data
            elif len(self.stderr) < STDERR_LIMIT_BYTES:
                self.stderr += chunk.data

    async def ended(self) -> Ended:
        async for _ in self.output():
            pass
        async with within(SILENCE_DEADLINE_S, "say how it ended"):
            status = await self.process.wait()
        return Ended(128 + (status.signal or 0) if status.code is None else status.code, bytes(self.stderr))


class GuestPrograms:
    """Runs them over a channel, as root. Reading from one that is silent for long raises `TimedOut`."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    @asynccontextmanager
    async def program(
        self, argv: Sequence[str], *, cwd: str, environment: Mapping[str, str]
    ) -> AsyncIterator[_Program]:
        request = ExecRequest(
            argv=argv, environment={"PATH": GUEST_PATH, "HOME": "/root", **environment}, cwd=cwd, user=None
        )
        async with self._channel.exec(request) as process:
            yield _Program(process)
