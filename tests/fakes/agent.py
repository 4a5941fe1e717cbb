"""A small working agent without a guest: `FakeAgent` in a test's process, or `python -m tests.fakes.agent SOCKET`."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from enum import StrEnum
from pathlib import Path

from tests.fakes import agent_programs as programs
from tests.fakes.agent_programs import Script
from tests.fakes.agent_session import (
    DATA,
    END,
    EOF,
    FRAME_LIMIT,
    HELLO,
    PONG,
    STARTED,
    WINDOW,
    WINDOW_SIZE,
    GuestSession,
    GuestStream,
    field,
    frame,
    header,
)

from banger.core.sockets import listen_unix


class Vice(StrEnum):
    """What a bad agent does. `deaf` and `hangs_up` concern the beginning; all others wait for the first stream."""

    DEAF = "deaf"
    HANGS_UP = "hangs_up"
    WRONG_VERSION = "wrong_version"
    SILENT = "silent"
    SLOW = "slow"
    GARBAGE = "garbage"
    WRONG_STREAM = "wrong_stream"
    MID_FRAME_CLOSE = "mid_frame_close"
    FLOOD = "flood"
    OVERSIZE = "oversize"
    ANSWERS_TWICE = "answers_twice"
    DATA_BEFORE_START = "data_before_start"
    DATA_AFTER_EOF = "data_after_eof"
    UNKNOWN_CHANNEL = "unknown_channel"
    STARTED_TWICE = "started_twice"
    HELLO_TWICE = "hello_twice"
    WINDOW_OVERFLOW = "window_overflow"
    SHORT_FIELD = "short_field"
    NO_STATUS = "no_status"
    ODD_STATUS = "odd_status"
    CRUMBS = "crumbs"
    RUDE_ERROR = "rude_error"
    UNKNOWN_ERROR = "unknown_error"
    IGNORES_RESET = "ignores_reset"
    PONG_STORM = "pong_storm"
    EMPTY_STORM = "empty_storm"
    NO_CREDIT_STORM = "no_credit_storm"
    STOPS_READING = "stops_reading"


class FakeAgent:
    """Serves any number of connections, one after the other or at once.

    The guest's `/` is `root`. Programs whose name is in `scripts` are Python; all others are programs of this host.
    """

    def __init__(
        self,
        *,
        root: Path,
        scripts: Mapping[str, Script] | None = None,
        vice: Vice | None = None,
        phase: str = "running",
        boot_id: str = "00000000-0000-4000-8000-000000000000",
        on_shutdown: Callable[[int], None] = lambda _mode: None,
        ports: Sequence[int] = (),
    ) -> None:
        self.root = root
        self.ports = ports
        self.scripts = dict(scripts or {})
        self.vice = vice
        self.phase = phase
        self.boot_id = boot_id
        self.opened: list[tuple[int, ...]] = []
        self._on_shutdown = on_shutdown

    @asynccontextmanager
    async def serving(self, listener: socket.socket) -> AsyncIterator[None]:
        """Accept connections on a listening socket while the block lasts."""
        connections: set[asyncio.Task[None]] = set()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            # In a task of its own: asyncio complains when the one it made for this function is cancelled.
            task = asyncio.create_task(self._serve(reader, writer))
            connections.add(task)
            task.add_done_callback(connections.discard)
            await asyncio.wait((task,))

        server = await asyncio.start_unix_server(serve, sock=listener)
        try:
            yield
        finally:
            server.close()
            for task in connections:
                task.cancel()
            if connections:
                await asyncio.wait(connections)

    async def serve_socket(self, connection: socket.socket) -> None:
        """Serve one connected socket to its end."""
        connection.setblocking(False)
        await self._serve(*await asyncio.open_unix_connection(sock=connection))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        version = 99 if self.vice is Vice.WRONG_VERSION else 1
        hello = field(1, version) + field(3, "fake") + field(4, self.boot_id) + field(5, self.phase)
        session = GuestSession(reader, writer, hello=hello, open_stream=self._open)
        try:
            if self.vice is Vice.HANGS_UP:
                return
            if self.vice is Vice.DEAF:
                while await reader.read(65536):
                    pass
                return
            await session.serve()
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _open(self, stream: GuestStream) -> None:
        kind = stream.all(1)[0][0]
        self.opened.append((kind, stream.identity))
        if self.vice is not None and self.vice is not Vice.WRONG_VERSION:
            await self._misbehave(stream, self.vice)
        elif kind == 1:
            name = os.fsdecode(stream.all(10)[0])
            if name in self.scripts:
                await programs.run_script(stream, self.scripts[name])
            else:
                await programs.run_program(stream, self.root)
        elif kind == 6:
            await stream.end(field(1, 0))
            self._on_shutdown(stream.number(10))
        elif kind == 7:
            await stream.end(field(1, 0))
        else:
            serve = {2: lambda: programs.put(stream, self.root), 3: lambda: programs.get(stream, self.root)}
            serve |= {4: lambda: programs.connect(stream), 5: lambda: programs.info(stream, ports=self.ports)}
            await serve[kind]()

    async def _misbehave(self, stream: GuestStream, vice: Vice) -> None:
        session, identity = stream.session, stream.identity
        started, done = frame(STARTED, identity, field(1, 1)), frame(END, identity, field(1, 0))
        one_byte = frame(DATA, identity, b"x")
        told = {
            Vice.GARBAGE: b"\x07\x01\x02" + bytes(range(256)) * 10,
            Vice.WRONG_STREAM: frame(STARTED, identity + 1),
            Vice.OVERSIZE: started + header(DATA, identity, 0xFFFF_FFFF),
            Vice.ANSWERS_TWICE: started + done + done,
            Vice.DATA_BEFORE_START: one_byte + started + done,
            Vice.DATA_AFTER_EOF: started + frame(EOF, identity) + one_byte + done,
            Vice.UNKNOWN_CHANNEL: started + frame(DATA, identity, b"x", 2) + done,
            Vice.STARTED_TWICE: started + started + done,
            Vice.HELLO_TWICE: frame(HELLO, 0, field(1, 1)) + started + done,
            Vice.WINDOW_OVERFLOW: started + frame(WINDOW, identity, b"\x01\x00\x00\x00") + done,
            Vice.SHORT_FIELD: started + frame(END, identity, field(1, 0)[:-1]),
            Vice.NO_STATUS: started + frame(END, identity),
            Vice.ODD_STATUS: started + frame(END, identity, field(1, 1 << 40)),
            Vice.RUDE_ERROR: frame(END, identity, field(3, "denied") + field(4, "\x1b]0;owned\x07\n\u202egnp.exe")),
            Vice.UNKNOWN_ERROR: frame(END, identity, field(3, "internal") + field(4, "x" * 5000)),
        }
        if vice in told:
            await session.send(told[vice])
            await asyncio.sleep(3600)
        if vice is not Vice.SILENT:
            await session.send(started)
        await self._go_on(stream, vice)
        await self._wait_for_ever(stream, vice)

    async def _go_on(self, stream: GuestStream, vice: Vice) -> None:
        session, identity = stream.session, stream.identity
        storms = {
            Vice.FLOOD: frame(DATA, identity, bytes(FRAME_LIMIT)),
            Vice.PONG_STORM: frame(PONG, 0, bytes(8)) * 1000,
            Vice.EMPTY_STORM: frame(DATA, identity) * 1000,
            Vice.NO_CREDIT_STORM: frame(WINDOW, identity, bytes(4)) * 1000,
        }
        while vice in storms:
            await session.send(storms[vice])
        if vice is Vice.MID_FRAME_CLOSE:
            await session.send(header(DATA, identity, 100) + b"only ten b")
            session.writer.close()
        elif vice is Vice.SLOW:
            for byte in frame(DATA, identity, b"drip") + frame(END, identity, field(1, 0)):
                await session.send(bytes((byte,)))
                await asyncio.sleep(0.001)
        elif vice is Vice.CRUMBS:
            # A whole window on both channels, byte by byte, in turns.
            for _ in range(WINDOW_SIZE // 1024):
                await session.send((frame(DATA, identity, b"o") + frame(DATA, identity, b"e", 1)) * 1024)
        elif vice is Vice.STOPS_READING:
            session.writer.transport.pause_reading()  # type: ignore[attr-defined]  # a socket's transport has both halves
            while True:
                await stream.send(0, bytes(FRAME_LIMIT))

    async def _wait_for_ever(self, stream: GuestStream, vice: Vice) -> None:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            if vice is not Vice.IGNORES_RESET:
                raise
            stream.ended = True  # so that nobody answers in its place


async def _main(arguments: argparse.Namespace) -> None:
    ending = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ending.set)
    agent = FakeAgent(
        root=arguments.root,
        vice=arguments.vice,
        phase=arguments.phase,
        boot_id=arguments.boot_id,
        on_shutdown=lambda _mode: ending.set(),
    )
    async with agent.serving(listen_unix(arguments.socket)):
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await ending.wait()


def main(argv: list[str]) -> None:
    """Serve on a socket until the guest is shut down or we are told to end."""
    parser = argparse.ArgumentParser(prog="tests.fakes.agent")
    parser.add_argument("socket", type=Path)
    parser.add_argument("--root", type=Path, default=None, help="what the guest's / is; default: a new directory")
    parser.add_argument("--vice", type=Vice, choices=list(Vice), default=None)
    parser.add_argument("--phase", default="running")
    parser.add_argument("--boot-id", default="00000000-0000-4000-8000-000000000000")
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as scratch:
        arguments.root = arguments.root or Path(scratch)
        asyncio.run(_main(arguments))


if __name__ == "__main__":
    main(sys.argv[1:])
