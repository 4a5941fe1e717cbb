"""One stream of the agent protocol as the host sees it: two directions, two windows, one end."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final, Protocol

from banger.core.errors import BangerError, Denied, Failed, Invalid, NotFound, TimedOut, Unsupported
from banger.core.untrusted import printable
from banger.guest.frames import (
    FRAME_LIMIT,
    WINDOW,
    Fields,
    Frame,
    FrameType,
    ProtocolViolation,
    decode_fields,
    find_number,
    find_text,
)

_ERRNO_LIMIT: Final = 4095  # the largest that Linux has
CREDIT_STEP: Final = 65536
START_DEADLINE_S: Final = 60.0
CHUNK_LIMIT: Final = 512  # chunks that wait to be read; after that even mixed small ones are merged
_ERRORS: Final[dict[str, type[BangerError]]] = {
    "invalid": Invalid,
    "not_found": NotFound,
    "denied": Denied,
    "unsupported": Unsupported,
}


class Sender(Protocol):
    """The part of a channel that a stream needs."""

    def send(self, frame_type: FrameType, stream: int, payload: bytes | memoryview = b"", *, channel: int = 0) -> None:
        """Queue a frame."""

    async def writable(self) -> None:
        """Wait while too much is queued. Raises when the channel is closed."""

    def forget(self, stream: int) -> None:
        """The stream has ended."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some bytes of output: channel 0 is stdout or the only channel, 1 is stderr."""

    channel: int
    data: bytes


class _Waiting:
    """Output of one channel that was not read yet. Tiny frames are joined, so that they do not fill the memory."""

    __slots__ = ("channel", "data")

    def __init__(self, channel: int, data: bytes) -> None:
        self.channel = channel
        self.data: bytes | bytearray = data

    def add(self, data: bytes) -> None:
        if isinstance(self.data, bytes):
            self.data = bytearray(self.data)
        self.data += data


class Stream:
    """Bytes out through a window, bytes in under a window, and an END."""

    def __init__(self, sender: Sender, identity: int, *, channels: int) -> None:
        """`channels` is how many channels the agent may send on: 0, 1 or 2."""
        self.identity = identity
        self._sender = sender
        self._changed = asyncio.Event()
        self._chunks: deque[_Waiting] = deque()
        self._open = [True] * channels
        self._abandoned = False
        self._send_window = WINDOW
        self._receive_window = [WINDOW, WINDOW]
        self._owed = [0, 0]
        self._started: Fields | None = None
        self._end: Fields | None = None
        self._failure: BangerError | None = None

    @property
    def ended(self) -> bool:
        """True when the agent has said END or the channel is lost."""
        return self._end is not None or self._failure is not None

    def take(self, frame: Frame) -> None:
        """Take in a frame from the agent. Raises `ProtocolViolation`."""
        if frame.type is FrameType.DATA:
            self._take_data(frame)
        elif frame.type is FrameType.WINDOW:
            if len(frame.payload) != 4 or frame.channel != 0:
                raise ProtocolViolation("a credit is malformed")
            credit = int.from_bytes(frame.payload, "little")
            self._send_window += credit
            if not credit:
                raise ProtocolViolation("it gave a credit of nothing")
            if self._send_window > WINDOW:
                raise ProtocolViolation("it gave more credit than it took")
        elif frame.type is FrameType.STARTED:
            if self._started is not None:
                raise ProtocolViolation("a stream started twice")
            self._started = decode_fields(frame.payload)
        elif frame.type is FrameType.END:
            self._end = decode_fields(frame.payload)
            self._sender.forget(self.identity)
        elif frame.type is FrameType.EOF:
            self._check_channel(frame)
            self._open[frame.channel] = False
        else:
            raise ProtocolViolation(f"a frame of type {frame.type.name} belongs to no stream")
        self._changed.set()

    def fail(self, error: BangerError) -> None:
        """The channel is lost: present and later callers get `error`."""
        self._failure = error
        self._changed.set()

    async def started(self, *, deadline_s: float = START_DEADLINE_S) -> Fields:
        """Wait for STARTED and return its fields; raises what the agent reports instead, or `TimedOut`."""
        async with within(deadline_s, "start what it was asked for"):
            while self._started is None:
                self._check()
                if self._end is not None:
                    raise error_of(self._end) or ProtocolViolation("a stream ended before it started")
                await self._change()
        return self._started

    async def read(self) -> Chunk | None:
        """The next bytes, or None after the last."""
        while not self._chunks:
            if self._end is not None or not any(self._open):
                return None
            self._check()
            await self._change()
        waiting = self._chunks.popleft()
        self._give_credit(waiting)
        return Chunk(waiting.channel, bytes(waiting.data))

    async def write(self, data: bytes | memoryview) -> None:
        """Send bytes, waiting for the window. Bytes written after the end are dropped."""
        view = memoryview(data)
        while view:
            while self._send_window <= 0 and not self.ended:
                await self._change()
            await self._sender.writable()
            self._check()
            if self._end is not None:
                return
            part = view[: min(FRAME_LIMIT, self._send_window)]
            if self._send_window <= 0:
                continue  # another writer of this stream was quicker
            self._send_window -= len(part)
            self._sender.send(FrameType.DATA, self.identity, part)
            view = view[len(part) :]
            if view:
                await asyncio.sleep(0)  # the other streams' turn

    def write_eof(self) -> None:
        """Say that no more bytes come."""
        if not self.ended:
            self._sender.send(FrameType.EOF, self.identity)

    def control(self, payload: bytes) -> None:
        """Send a CONTROL frame."""
        if not self.ended:
            self._sender.send(FrameType.CONTROL, self.identity, payload)

    async def end(self) -> Fields:
        """Wait for END and return its fields, whatever they say; unread output is dropped."""
        while self._end is None:
            self._check()
            while self._chunks:
                self._give_credit(self._chunks.popleft())
            await self._change()
        return self._end

    async def succeed(self) -> Fields:
        """Wait for END and return its fields, or raise the error it reports."""
        fields = await self.end()
        error = error_of(fields)
        if error is not None:
            raise error
        return fields

    async def abandon(self, *, deadline_s: float = 5.0) -> None:
        """Give the stream up if it has not ended, and wait a little for the agent to agree.

        Until it agrees its id stays taken; what it still sends is thrown away.
        """
        self._abandoned = True
        self._chunks.clear()
        if self.ended:
            return
        self._sender.send(FrameType.RESET, self.identity)
        with suppress(TimeoutError, BangerError):
            async with asyncio.timeout(deadline_s):
                await self.end()

    def _check_channel(self, frame: Frame) -> None:
        if self._started is None:
            raise ProtocolViolation("it sent data before it said that the stream has started")
        if frame.channel >= len(self._open) or not self._open[frame.channel]:
            raise ProtocolViolation("it sent data on a channel that is closed")

    def _take_data(self, frame: Frame) -> None:
        self._check_channel(frame)
        channel, data = frame.channel, frame.payload
        if not data:  # which costs no window: a guest could keep us busy with it
            raise ProtocolViolation("it sent data without any")
        if len(data) > self._receive_window[channel]:
            raise ProtocolViolation("it sent more than the window allows")
        self._receive_window[channel] -= len(data)
        if self._abandoned:
            return
        last = self._chunks[-1] if self._chunks else None
        if last is None or last.channel != channel or len(last.data) + len(data) > FRAME_LIMIT:
            last = self._last_of(channel) if len(self._chunks) >= CHUNK_LIMIT else None
        if last is not None:
            last.add(data)
        else:
            self._chunks.append(_Waiting(channel, data))

    def _last_of(self, channel: int) -> _Waiting | None:
        return next((waiting for waiting in reversed(self._chunks) if waiting.channel == channel), None)

    def _give_credit(self, chunk: _Waiting) -> None:
        owed = self._owed[chunk.channel] + len(chunk.data)
        if owed >= CREDIT_STEP and not self.ended:
            self._receive_window[chunk.channel] += owed
            credit = owed.to_bytes(4, "little")
            self._sender.send(FrameType.WINDOW, self.identity, credit, channel=chunk.channel)
            owed = 0
        self._owed[chunk.channel] = owed

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure.with_traceback(None)  # it is raised in many places, and would collect their tracebacks

    async def _change(self) -> None:
        """Wait until something happens. Several tasks may wait at once: a reader and a writer."""
        if self._changed.is_set():
            self._changed = asyncio.Event()
        await self._changed.wait()


def error_of(fields: Fields) -> BangerError | None:
    """The error that an END reports, or None. Its words come from the guest."""
    kind = find_text(fields, 3, limit=32)
    if not kind:
        return None
    said = f"the guest says: {printable(find_text(fields, 4), limit=300)}"
    return _ERRORS.get(kind, Failed)(said, errno=min(find_number(fields, 5) or 0, _ERRNO_LIMIT))


def exit_of(fields: Fields) -> tuple[int | None, int | None]:
    """Exit status or signal of an END. Raises `ProtocolViolation` when it has neither."""
    code, signal_number = find_number(fields, 1), find_number(fields, 2)
    if signal_number is not None and 1 <= signal_number <= 64:
        return None, signal_number
    if code is not None and 0 <= code <= 255:
        return code, None
    raise ProtocolViolation("a program ended in no known way")


@asynccontextmanager
async def within(deadline_s: float, what: str) -> AsyncIterator[None]:
    """Raise `TimedOut` when the block takes longer than `deadline_s` seconds."""
    try:
        async with asyncio.timeout(deadline_s):
            yield
    except TimeoutError as error:
        raise TimedOut(
            f"the guest did not {what} within {deadline_s:g} s",
            hint="it may be overloaded: try again, or look at `banger vm logs`",
        ) from error
