"""A small HTTP server on a real socket that answers as a test says, byte for byte, and remembers what it was asked."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

Handler = Callable[["Exchange"], Awaitable[None]]


@dataclass(frozen=True)
class Request:
    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def everything(self) -> str:
        """All that the server was told, to look for secrets in it."""
        return "\n".join([self.target, *map(": ".join, self.headers.items()), self.body.decode("latin-1")])


@dataclass
class Exchange:
    """A request that wants an answer."""

    request: Request
    writer: asyncio.StreamWriter
    keep: bool = True

    async def reply(
        self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None, *, length: int | None = None
    ) -> None:
        """A proper answer. `length` is what it says of its body, if not the truth."""
        said = {"Content-Length": str(len(body) if length is None else length), **(headers or {})}
        lines = [f"HTTP/1.1 {status} Whatever", *map(": ".join, said.items())]
        content = b"" if self.request.method == "HEAD" else body
        await self.raw("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + content)
        if length is not None and length != len(body):
            self.keep = False

    async def raw(self, data: bytes) -> None:
        """Bytes as they are."""
        self.writer.write(data)
        await self.writer.drain()

    def close(self) -> None:
        """No more comes."""
        self.keep = False

    def reset(self) -> None:
        """End the connection rudely."""
        self.keep = False
        connection = self.writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


@dataclass
class WebServer:
    """Use as an async context manager. `address` is where it listens, on a free port unless one is given."""

    handler: Handler
    address: str = "127.0.0.1"
    port: int = 0
    tls: ssl.SSLContext | None = None
    requests: list[Request] = field(default_factory=list)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _server: asyncio.Server | None = None

    @property
    def host(self) -> str:
        return f"{self.address}:{self.port}"

    async def __aenter__(self) -> WebServer:
        self._server = await asyncio.start_server(self._connected, self.address, self.port, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with suppress(OSError, asyncio.IncompleteReadError, ValueError):
                while await self._exchange(reader, writer):
                    pass
        except asyncio.CancelledError:
            pass
        finally:
            self._tasks.discard(task)
            with suppress(OSError):
                writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        start = await reader.readexactly(1)
        if start == b"\x16":  # who speaks TLS gets what servers say that do not
            writer.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
            return False
        first, *lines = (start + await reader.readuntil(b"\r\n\r\n")).decode("latin-1").rstrip("\r\n").split("\r\n")
        method, target, _version = first.split(" ")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        exchange = Exchange(Request(method, target, headers, body), writer)
        self.requests.append(exchange.request)
        await self.handler(exchange)
        return exchange.keep
