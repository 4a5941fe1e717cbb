"""The host's end of the channel to a guest's agent: one byte stream, many streams."""

from __future__ import annotations

import asyncio
import logging
import secrets
import socket
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final

from banger.core.errors import BangerError, Invalid, TimedOut, Unavailable, Unsupported
from banger.core.untrusted import printable
from banger.guest.archive import ArchiveRequest
from banger.guest.frames import (
    FRAME_LIMIT,
    NONCE_SIZE,
    VERSION,
    Fields,
    Frame,
    FrameDecoder,
    FrameType,
    ProtocolViolation,
    decode_fields,
    encode_fields,
    encode_header,
    find_number,
    find_text,
    number,
)
from banger.guest.info import GuestInfo, parse_info
from banger.guest.process import ExecRequest, GuestProcess, encode_exec, explain_no_start
from banger.guest.streams import Stream, within
from banger.guest.synchroniser import Synchroniser

log = logging.getLogger(__name__)

KIND_PUT: Final = 2
KIND_GET: Final = 3
KIND_CONNECT: Final = 4
KIND_INFO: Final = 5
KIND_SHUTDOWN: Final = 6
KIND_SYNC: Final = 7
KIND_ARCHIVE: Final = 8
RESYNC_S: Final = 0.25
ANSWER_DEADLINE_S: Final = 30.0
DISK_DEADLINE_S: Final = 300.0  # what the guest may need to write everything to its disk
STALL_DEADLINE_S: Final = 120.0  # without any progress of a tree
CLOSE_DEADLINE_S: Final = 5.0
STREAM_LIMIT: Final = 256  # the agent's own
WRITE_LIMIT_BYTES: Final = 1 << 18
BACKLOG_LIMIT_BYTES: Final = 4 << 20  # what a guest that stopped reading may cost


@dataclass(frozen=True, slots=True)
class Hello:
    """What the agent says first. All of it is the guest's word.

    `init_began_s`, `init_ended_s` and `said_s` (when it was sent) count from the start of the guest's kernel; None
    if the agent does not say.
    """

    version: int
    build: str
    boot_id: str
    phase: str
    init_began_s: float | None = None
    init_ended_s: float | None = None
    said_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """How a tree with one entry at its top appears at once: it is written as `partial` and renamed to `final`.

    With `replace`, even over a directory of that name that has content.
    """

    partial: bytes
    final: bytes
    replace: bool = False


class Channel(asyncio.Protocol):
    """A synchronised session with an agent. Make one with `connect`; close it with `aclose`."""

    hello: Hello

    def __init__(self, clock_ns: Callable[[], int]) -> None:
        self._clock_ns = clock_ns
        self._transport: asyncio.Transport | None = None
        self._streams: dict[int, Stream] = {}
        self._next_id = 1
        self._decoder = FrameDecoder()
        self._synchroniser: Synchroniser | None = Synchroniser()
        self._greeted = asyncio.Event()
        self._disconnected = asyncio.Event()
        self._may_write = asyncio.Event()
        self._may_write.set()
        self._failure: BangerError | None = None
        self._pongs: dict[bytes, asyncio.Future[None]] = {}
        self._pongs_owed = 0  # by the agent, also those that nobody waits for any more

    @staticmethod
    async def connect(
        connection: socket.socket, *, first: bool, deadline_s: float, clock_ns: Callable[[], int]
    ) -> Channel:
        """Begin a session over a connected socket, waiting for a guest that may still be booting.

        `first` is False when an earlier session may have left half a frame behind. Raises `TimedOut`, `Unavailable`
        when the other end closes, `ProtocolViolation`. The socket is ours, and closed on failure.
        """
        loop = asyncio.get_running_loop()
        connection.setblocking(False)  # noqa: FBT003 - the standard library has no keyword here
        channel = Channel(clock_ns)
        try:
            await loop.create_connection(lambda: channel, sock=connection)
        except BaseException:
            connection.close()
            raise
        try:
            async with asyncio.timeout(deadline_s):
                await channel._synchronise(first=first)
        except TimeoutError as error:
            await channel.aclose()
            raise TimedOut(
                f"the guest did not answer within {deadline_s:g} s",
                hint="look at its console with `banger vm logs`",
            ) from error
        except BaseException:
            await channel.aclose()
            raise
        return channel

    @property
    def closed(self) -> bool:
        """Whether the session is over, so that another one is needed."""
        return self._failure is not None

    async def aclose(self) -> None:
        """End the session; every waiting caller gets `Unavailable`."""
        self._fail(Unavailable("the channel to the guest was closed"))
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_DEADLINE_S):
                await self._disconnected.wait()

    async def wait_closed(self) -> None:
        """Wait until the session is over, for whatever reason."""
        await self._disconnected.wait()

    # ---- what callers use

    @asynccontextmanager
    async def exec(self, request: ExecRequest) -> AsyncIterator[GuestProcess]:
        """Run a program. Leaving the block before it has ended kills it. Raises what the guest reports."""
        async with self._opened(encode_exec(request), channels=1 if request.pty is not None else 2) as stream:
            try:
                started = await stream.started()
            except BangerError as error:
                raise explain_no_start(error, request.argv[0]) from error
            yield GuestProcess(stream, find_number(started, 1) or 0)

    async def put_tree(
        self,
        destination: bytes,
        tree: AsyncIterable[bytes],
        *,
        fresh: bool = False,
        keep_owners: bool = False,
        place: Place | None = None,
    ) -> None:
        """Write an encoded tree below an absolute directory of the guest, which is made if it is missing.

        With `fresh` the directory must be empty. With `place` nothing is left of a tree that did not come to its end.
        Returns when the guest has written everything.
        """
        flags = (1 if fresh else 0) | (2 if keep_owners else 0) | (4 if place is not None and place.replace else 0)
        fields = [(1, bytes([KIND_PUT])), (10, destination), (11, number(flags))]
        if place is not None:
            fields += [(12, place.partial), (13, place.final)]
        opening = encode_fields(fields)
        async with self._opened(opening, channels=0) as stream:
            await stream.started()
            async for data in tree:
                async with within(STALL_DEADLINE_S, "take any of the files sent to it"):
                    await stream.write(data)
                if stream.ended:
                    break
            stream.write_eof()
            async with within(DISK_DEADLINE_S, "write the files to its disk"):
                await stream.succeed()

    def get_tree(self, path: bytes) -> AsyncGenerator[bytes, None]:
        """The encoded tree of a file or directory of the guest, as it arrives; hostile. Close it to give it up."""
        return self._receive(encode_fields([(1, bytes([KIND_GET])), (10, path)]))

    def get_archive(self, request: ArchiveRequest) -> AsyncGenerator[bytes, None]:
        """A tar archive of a root of the guest, as it arrives; hostile. Close it to give it up."""
        return self._receive(encode_fields([(1, bytes([KIND_ARCHIVE])), *request.fields()]))

    @asynccontextmanager
    async def connect_tcp(self, port: int, address: str = "127.0.0.1") -> AsyncIterator[Stream]:
        """A TCP connection made inside the guest. Raises `Denied` when it is refused.

        Reading ends when the other side has closed its direction; the end of the block closes both.
        """
        if not 0 < port <= 65_535:
            raise Invalid(f"{port} is not a port", hint="ports go from 1 to 65535")
        opening = encode_fields([(1, bytes([KIND_CONNECT])), (10, address.encode()), (11, number(port))])
        async with self._opened(opening, channels=1) as stream:
            await stream.started()
            yield stream

    async def info(self, *, deadline_s: float = ANSWER_DEADLINE_S) -> GuestInfo:
        """What the guest reports about itself."""
        return parse_info(await self._ask(encode_fields([(1, bytes([KIND_INFO]))]), deadline_s=deadline_s))

    async def sync(self) -> None:
        """Have the guest write everything to its disk."""
        await self._ask(encode_fields([(1, bytes([KIND_SYNC]))]), deadline_s=DISK_DEADLINE_S)

    async def shutdown(self, *, reboot: bool = False) -> None:
        """Have the guest write everything to its disk and start to switch itself off."""
        opening = encode_fields([(1, bytes([KIND_SHUTDOWN])), (10, number(2 if reboot else 1))])
        await self._ask(opening, deadline_s=DISK_DEADLINE_S)

    async def ping(self, *, deadline_s: float = ANSWER_DEADLINE_S) -> None:
        """Return when the agent has answered. Raises `TimedOut`."""
        token = secrets.token_bytes(8)
        self._pongs[token] = answer = asyncio.get_running_loop().create_future()
        try:
            self.send(FrameType.PING, 0, token)
            self._pongs_owed += 1
            async with asyncio.timeout(deadline_s):
                await answer
        except TimeoutError as error:
            raise TimedOut(f"the guest did not answer within {deadline_s:g} s") from error
        finally:
            self._pongs.pop(token, None)

    # ---- what streams use

    def send(self, frame_type: FrameType, stream: int, payload: bytes | memoryview = b"", *, channel: int = 0) -> None:
        self._check()
        assert self._transport is not None
        self._transport.writelines((encode_header(frame_type, channel, stream, len(payload)), payload))
        if self._transport.get_write_buffer_size() > BACKLOG_LIMIT_BYTES:
            self._fail(Unavailable("the guest's agent stopped listening", hint="stop the VM and start it again"))

    async def writable(self) -> None:
        while not self._may_write.is_set():
            await self._may_write.wait()
        self._check()

    def forget(self, stream: int) -> None:
        self._streams.pop(stream, None)

    # ---- what the event loop uses

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(high=WRITE_LIMIT_BYTES)

    def pause_writing(self) -> None:
        self._may_write.clear()

    def resume_writing(self) -> None:
        self._may_write.set()

    def data_received(self, data: bytes) -> None:
        if self._failure is not None:
            return
        try:
            if self._synchroniser is not None:
                rest = self._synchroniser.feed(data)
                if rest is None:
                    return
                self._synchroniser = None
                data = rest
            for frame in self._decoder.feed(data):
                self._take(frame)
        except BangerError as error:
            self._fail(error)

    def connection_lost(self, exc: Exception | None) -> None:
        self._disconnected.set()
        self._fail(
            Unavailable(
                "the connection to the guest was lost" + (f": {exc}" if exc else ""),
                hint="`banger vm list` shows whether the VM still runs",
            )
        )

    # ---- inside

    async def _receive(self, opening: bytes) -> AsyncGenerator[bytes, None]:
        """The data of a stream on which only the agent sends."""
        async with self._opened(opening, channels=1) as stream:
            await stream.started()
            while True:
                async with within(STALL_DEADLINE_S, "send any more of the files"):
                    chunk = await stream.read()
                if chunk is None:
                    break
                yield chunk.data
            async with within(ANSWER_DEADLINE_S, "finish sending files"):
                await stream.succeed()

    async def _synchronise(self, *, first: bool) -> None:
        """Ask until the agent answers: while the guest boots, what is sent may wait, or be lost with a closed port."""
        padding = not first
        while not self._greeted.is_set():
            self._check()
            assert self._transport is not None
            if self._synchroniser is not None and not self._synchroniser.heard:
                self._transport.write(self._synchroniser.ask(secrets.token_bytes(NONCE_SIZE), padding=padding))
                padding = False
            with suppress(TimeoutError):
                async with asyncio.timeout(RESYNC_S):
                    await self._greeted.wait()
        self._check()
        fields = [(1, number(VERSION)), (2, number(self._clock_ns()))]
        self.send(FrameType.HELLO, 0, encode_fields(fields))

    def _take(self, frame: Frame) -> None:
        if frame.stream == 0:
            self._take_session_frame(frame)
            return
        stream = self._streams.get(frame.stream)
        if stream is None:
            raise ProtocolViolation("it spoke on a stream that is not open")
        stream.take(frame)

    def _take_session_frame(self, frame: Frame) -> None:
        if frame.type is FrameType.PONG:
            self._pongs_owed -= 1
            if self._pongs_owed < 0:
                raise ProtocolViolation("it answered more often than it was asked")
            answer = self._pongs.get(frame.payload)
            if answer is not None and not answer.done():
                answer.set_result(None)
            return
        if frame.type is not FrameType.HELLO or self._greeted.is_set():
            raise ProtocolViolation(f"a {frame.type.name} on the session itself")
        fields = decode_fields(frame.payload)
        version = find_number(fields, 1) or 0
        if version != VERSION:
            raise Unsupported(
                f"the guest's agent speaks version {version} of the protocol and this banger {VERSION}",
                hint="`banger vm restart` gives the VM the agent of this banger; until then it keeps running",
            )
        self.hello = Hello(
            version=version,
            build=printable(find_text(fields, 3, limit=64)),
            boot_id=printable(find_text(fields, 4, limit=64)),
            phase=printable(find_text(fields, 5, limit=64)),
            init_began_s=_seconds(find_number(fields, 6)),
            init_ended_s=_seconds(find_number(fields, 7)),
            said_s=_seconds(find_number(fields, 8)),
        )
        self._greeted.set()

    @asynccontextmanager
    async def _opened(self, opening: bytes, *, channels: int) -> AsyncIterator[Stream]:
        if len(opening) > FRAME_LIMIT:
            raise Invalid("the request is longer than the guest accepts")
        if len(self._streams) >= STREAM_LIMIT:
            raise Unavailable(
                f"{STREAM_LIMIT} commands and transfers are open in this guest", hint="wait until some have ended"
            )
        self._check()
        identity = self._free_id()
        stream = self._streams[identity] = Stream(self, identity, channels=channels)
        try:
            self.send(FrameType.OPEN, identity, opening)
            yield stream
        finally:
            await stream.abandon()

    def _free_id(self) -> int:
        while True:
            identity = self._next_id
            self._next_id = identity % 0xFFFF_FFFF + 1
            if identity not in self._streams:
                return identity

    async def _ask(self, opening: bytes, *, deadline_s: float = ANSWER_DEADLINE_S) -> Fields:
        async with self._opened(opening, channels=0) as stream, within(deadline_s, "answer"):
            return await stream.succeed()

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure.with_traceback(None)

    def _fail(self, error: BangerError) -> None:
        if self._failure is not None:
            return
        self._failure = error
        if self._transport is not None:
            self._transport.abort()
        for stream in list(self._streams.values()):
            stream.fail(error)
        self._streams.clear()
        for answer in self._pongs.values():
            if not answer.done():
                answer.set_exception(error)
        self._greeted.set()
        self._may_write.set()


def _seconds(nanoseconds: int | None) -> float | None:
    return nanoseconds / 1e9 if nanoseconds is not None else None
