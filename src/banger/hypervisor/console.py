"""A guest's console on the host's disk: bounded, readable after the VM died.

Two files take turns: when the newer is full it replaces the older one. A guest that prints for ever therefore never
holds more than the limit, and at least half of the limit is always there to read.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Final

from banger.core.sockets import connect_unix

LIMIT_BYTES: Final = 1 << 20


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
        if self._size + len(data) > self._half:
            self._file.close()
            self._path.replace(_older(self._path))
            self._file = self._path.open("ab", buffering=0)
            self._size = 0
        try:
            self._size += self._file.write(data)
        except OSError:
            return

    def close(self) -> None:
        self._file.close()


def read_console(path: Path) -> bytes:
    """Everything that is kept, oldest first."""
    content = b""
    for part in (_older(path), path):
        try:
            content += part.read_bytes()
        except FileNotFoundError:
            continue
    return content


def _older(path: Path) -> Path:
    return path.with_name(path.name + ".1")


class ConsoleDrain(asyncio.Protocol):
    """Takes what the VMM sends on its console socket into the ring, as long as the daemon lives."""

    def __init__(self, ring: ConsoleRing) -> None:
        self._ring = ring
        self._transport: asyncio.BaseTransport | None = None

    @staticmethod
    async def begin(socket_path: Path, ring_path: Path) -> ConsoleDrain:
        """Connect. Raises `OSError` when nobody listens."""
        drain = ConsoleDrain(ConsoleRing(ring_path))
        connection = connect_unix(socket_path)
        connection.setblocking(False)  # noqa: FBT003 - the standard library has no keyword here
        await asyncio.get_running_loop().create_connection(lambda: drain, sock=connection)
        return drain

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._ring.append(data)

    def close(self) -> None:
        """Stop reading; the guest's further output is dropped by the VMM."""
        if self._transport is not None:
            self._transport.close()
        self._ring.close()
