"""A guest's console in files on the host: bounded, and readable after the VM has died.

Two files take turns: when the newer is full, it replaces the older one. A guest that prints for ever therefore never
holds more than the limit, and at least half of the limit is always there to read.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import Final

from banger.core.sockets import connect_unix

LIMIT_BYTES: Final = 1 << 20
TAIL_BYTES: Final = 16384
LAST_WORDS_DEADLINE_S: Final = 2.0


class ConsoleRing:
    """Appends to `path`, and keeps what came before in `path.1`."""

    def __init__(self, path: Path, *, limit_bytes: int = LIMIT_BYTES) -> None:
        self._path = path
        self._half = limit_bytes // 2
        self._file = path.open("ab", buffering=0)
        self._size = os.fstat(self._file.fileno()).st_size

    def append(self, data: bytes) -> None:
        """Add bytes; a write that fails, on a full disk for example, loses them and nothing else."""
        data = data[-self._half :]
        try:
            if self._file.closed or self._size + len(data) > self._half:
                self._file.close()
                self._path.replace(older_half(self._path))
                self._file = self._path.open("ab", buffering=0)
                self._size = 0
            self._size += self._file.write(data)
        except OSError:
            return

    def close(self) -> None:
        self._file.close()


def read_console(path: Path) -> bytes:
    """Everything that is kept, oldest first."""
    content = b""
    for part in (older_half(path), path):
        try:
            content += part.read_bytes()
        except FileNotFoundError:
            continue
    return content


def last_lines(content: bytes, count: int) -> bytes:
    """The last `count` lines; an unfinished one counts."""
    if count <= 0:
        return b""
    position = len(content) - 1 if content.endswith(b"\n") else len(content)
    for _ in range(count):
        position = content.rfind(b"\n", 0, position)
        if position < 0:
            return content
    return content[position + 1 :]


class ConsoleFollower:
    """Reads a ring while it is written: nothing twice, and nothing left out unless the reader falls behind the ring.

    A file that is being read is held open, so that no other can be mistaken for it, whatever becomes of its name.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: FileIO | None = None
        self.fell_behind = False

    def read(self, size: int) -> bytes:
        """The next bytes, oldest first; empty when everything that is there was read."""
        if self._file is None:
            self._file = self._oldest()
        while self._file is not None:
            newest = _open(self._path)
            try:
                # Looked at before reading: a file that is not the newest any more grows no more.
                complete = newest is not None and not os.path.sameopenfile(newest.fileno(), self._file.fileno())
                if (data := self._file.read(size)) or not complete:
                    return data
                self._advance(newest)
                newest = None
            finally:
                if newest is not None:
                    newest.close()
        return b""

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _oldest(self) -> FileIO | None:
        newest = _open(self._path)
        if (older := _open(older_half(self._path))) is not None and newest is not None:
            newest.close()
        return older or newest

    def _advance(self, newest: FileIO | None) -> None:
        """Move to the file after the one that is held, or, if that is gone, to the oldest there is."""
        assert self._file is not None
        older = _open(older_half(self._path))
        if older is not None and not os.path.sameopenfile(older.fileno(), self._file.fileno()):
            if newest is not None:
                newest.close()
            newest = older
            self.fell_behind = True
        elif older is not None:
            older.close()
        self._file.close()
        self._file = newest


def _open(path: Path) -> FileIO | None:
    try:
        return path.open("rb", buffering=0)
    except FileNotFoundError:
        return None


def older_half(path: Path) -> Path:
    """Where the older half is."""
    return path.with_name(path.name + ".1")


class ConsoleDrain(asyncio.Protocol):
    """Copies what the VMM sends on its console socket into the ring, as long as the daemon lives.

    `tail` is the end of what this VMM sent, without what an earlier one left in the ring.
    """

    def __init__(self, ring: ConsoleRing) -> None:
        self._ring = ring
        self.tail = b""
        self._transport: asyncio.BaseTransport | None = None
        self._disconnected = asyncio.Event()

    @staticmethod
    async def begin(socket_path: Path, ring_path: Path) -> ConsoleDrain:
        """Connect. Raises `OSError` when nobody listens, or a VMM that hangs takes no connection."""
        drain = ConsoleDrain(ConsoleRing(ring_path))
        connection = connect_unix(socket_path, timeout_s=0)
        await asyncio.get_running_loop().create_connection(lambda: drain, sock=connection)
        return drain

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._ring.append(data)
        self.tail = (self.tail + data)[-TAIL_BYTES:]

    def connection_lost(self, _error: Exception | None) -> None:
        self._disconnected.set()

    async def last_words(self) -> None:
        """Wait until everything that an ended VMM had sent is in the ring."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORDS_DEADLINE_S):
                await self._disconnected.wait()

    def close(self) -> None:
        """Stop reading; the guest's further output is dropped by the VMM."""
        if self._transport is not None:
            self._transport.close()
        self._ring.close()
