"""The guest's half of the agent protocol, written from docs/agent-protocol.md without the host's codec.

It is a second reading of the page on purpose: what both readings misunderstand alike, the C agent's tests find.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

HELLO, PING, PONG, OPEN, DATA, EOF, WINDOW, CONTROL, STARTED, END, RESET = range(1, 12)
FRAME_LIMIT: Final = 65536
WINDOW_SIZE: Final = 262_144
_HEADER: Final = struct.Struct("<BBHII")
_MAGIC: Final = b"banger-sync-host"
_ANSWER: Final = b"banger-sync-peer"


def header(kind: int, stream: int, length: int, flags: int = 0) -> bytes:
    return _HEADER.pack(kind, flags, 0xB35A ^ kind ^ (flags << 8), stream, length)


def frame(kind: int, stream: int, payload: bytes = b"", flags: int = 0) -> bytes:
    return header(kind, stream, len(payload), flags) + payload


def field(tag: int, value: bytes | int | str) -> bytes:
    if isinstance(value, int):
        value = struct.pack("<Q", value)
    elif isinstance(value, str):
        value = value.encode()
    return struct.pack("<BI", tag, len(value)) + value


def read_fields(payload: bytes) -> list[tuple[int, bytes]]:
    found = []
    while payload:
        tag, length = struct.unpack_from("<BI", payload)
        found.append((tag, payload[5 : 5 + length]))
        payload = payload[5 + length :]
    return found


class Broken(Exception):
    """The host said something that makes no sense."""


class GuestStream:
    """A stream as the agent sees it."""

    def __init__(self, session: GuestSession, identity: int, fields: list[tuple[int, bytes]]) -> None:
        self.session = session
        self.identity = identity
        self.fields = fields
        self.send_window = [WINDOW_SIZE, WINDOW_SIZE]
        self.receive_window = WINDOW_SIZE
        self.input: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.on_control: Callable[[dict[int, int]], None] = lambda _numbers: None
        self.ended = False
        self.task: asyncio.Task[None] | None = None
        self._credit = asyncio.Event()

    def text(self, tag: int, default: str = "") -> str:
        return next((value.decode("utf-8", "surrogateescape") for found, value in self.fields if found == tag), default)

    def number(self, tag: int) -> int:
        return next((int.from_bytes(value, "little") for found, value in self.fields if found == tag), 0)

    def all(self, tag: int) -> list[bytes]:
        return [value for found, value in self.fields if found == tag]

    async def started(self, *fields: bytes) -> None:
        await self.session.send(frame(STARTED, self.identity, b"".join(fields)))

    async def send(self, channel: int, data: bytes) -> None:
        while data:
            while self.send_window[channel] == 0:
                self._credit.clear()
                await self._credit.wait()
            size = min(len(data), FRAME_LIMIT, self.send_window[channel])
            self.send_window[channel] -= size
            await self.session.send(frame(DATA, self.identity, data[:size], channel))
            data = data[size:]

    async def end_of_output(self, channel: int) -> None:
        await self.session.send(frame(EOF, self.identity, flags=channel))

    async def receive(self) -> bytes | None:
        """The next input; taking it gives credit."""
        data = await self.input.get()
        if data is not None and not self.ended:
            self.receive_window += len(data)
            await self.session.send(frame(WINDOW, self.identity, struct.pack("<I", len(data))))
        return data

    async def end(self, *fields: bytes) -> None:
        if not self.ended:
            self.ended = True
            self.session.streams.pop(self.identity, None)
            await self.session.send(frame(END, self.identity, b"".join(fields)))

    async def fail(self, kind: str, message: str, number: int = 0) -> None:
        await self.end(field(3, kind), field(4, message), field(5, number))

    def take_window(self, channel: int, credit: int) -> None:
        if channel > 1 or self.send_window[channel] + credit > WINDOW_SIZE:
            raise Broken("more credit than there is")
        self.send_window[channel] += credit
        self._credit.set()

    def take_data(self, data: bytes) -> None:
        self.receive_window -= len(data)
        if self.receive_window < 0:
            raise Broken("more data than its window allows")
        self.input.put_nowait(data)


class GuestSession:
    """One connection of a host. `open_stream` runs a stream to its end, in a task of its own."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        hello: bytes,
        open_stream: Callable[[GuestStream], Awaitable[None]],
    ) -> None:
        self.streams: dict[int, GuestStream] = {}
        self.reader, self.writer = reader, writer
        self._hello = hello
        self._open_stream = open_stream
        self._buffer = bytearray()
        self._synchronised = False

    async def send(self, data: bytes) -> None:
        with suppress(ConnectionError):
            self.writer.write(data)
            await self.writer.drain()

    async def serve(self) -> None:
        try:
            while data := await self.reader.read(1 << 18):
                self._buffer += data
                await self._take_all()
        except ConnectionError:
            pass
        finally:
            await self.drop_streams()

    async def drop_streams(self) -> None:
        tasks = [stream.task for stream in self.streams.values() if stream.task is not None]
        for stream in self.streams.values():
            stream.ended = True
        self.streams.clear()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _take_all(self) -> None:
        while True:
            if not self._synchronised:
                at = self._buffer.find(_MAGIC)
                if at < 0 or len(self._buffer) < at + 32:
                    del self._buffer[: max(0, len(self._buffer) - 15) if at < 0 else at]
                    return
                nonce = bytes(self._buffer[at + 16 : at + 32])
                del self._buffer[: at + 32]
                await self.drop_streams()
                self._synchronised = True
                await self.send(_ANSWER + nonce + frame(HELLO, 0, self._hello))
            if len(self._buffer) < 12:
                return
            kind, flags, check, identity, length = _HEADER.unpack_from(self._buffer)
            if check != 0xB35A ^ kind ^ (flags << 8) or length > FRAME_LIMIT:
                await self._lose()
                continue
            if len(self._buffer) < 12 + length:
                return
            payload = bytes(self._buffer[12 : 12 + length])
            try:
                await self._take(kind, flags, identity, payload)
            except (Broken, struct.error):
                await self._lose()
            del self._buffer[: 12 + length]

    async def _lose(self) -> None:
        self._synchronised = False
        await self.drop_streams()

    async def _take(self, kind: int, flags: int, identity: int, payload: bytes) -> None:
        if identity == 0:
            if kind == PING:
                await self.send(frame(PONG, 0, payload))
            elif kind != HELLO:
                raise Broken(f"type {kind} on the session")
        elif kind == OPEN:
            if identity in self.streams:
                raise Broken("an id that is taken")
            stream = self.streams[identity] = GuestStream(self, identity, read_fields(payload))
            stream.task = asyncio.create_task(self._run(stream))
        elif identity in self.streams:  # or it has ended, and the host does not know yet
            await self._take_for(self.streams[identity], kind, flags, payload)

    async def _take_for(self, found: GuestStream, kind: int, flags: int, payload: bytes) -> None:
        if kind == DATA:
            found.take_data(payload)
        elif kind == EOF:
            found.input.put_nowait(None)
        elif kind == WINDOW:
            found.take_window(flags, struct.unpack("<I", payload)[0])
        elif kind == CONTROL:
            found.on_control({tag: int.from_bytes(value, "little") for tag, value in read_fields(payload)})
        elif kind == RESET:
            if found.task is not None:
                found.task.cancel()
                await asyncio.wait((found.task,))
            await found.fail("failed", "given up by the host")
        else:
            raise Broken(f"type {kind} from the host")

    async def _run(self, stream: GuestStream) -> None:
        try:
            await self._open_stream(stream)
        except OSError as error:
            await stream.fail("failed", str(error), error.errno or 0)
