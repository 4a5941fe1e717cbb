"""Which listeners of a guest are web servers, asked through a real channel of servers that are well or ill meant."""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from tests.fakes.agent import FakeAgent

from banger.daemon.operations import ports
from banger.guest.channel import Channel

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], object]


@asynccontextmanager
async def server(first: bytes, *, ask: bool = True, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if ask:
                await reader.read(1)
            writer.write(first)
            await writer.drain()
            await reader.read()
        except OSError:
            pass
        finally:
            writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        listening.close()


async def test_web_servers_get_urls_and_others_none(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key", tmp_path / "certificate"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=localhost"),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    async with AsyncExitStack() as stack:
        open_ = stack.enter_async_context
        web = await open_(server(b"HTTP/1.1 200 OK\r\n\r\n"))
        secure = await open_(server(b"", context=context))
        banner = await open_(server(b"SSH-2.0-x\r\n", ask=False))
        rude = await open_(server(b"\x1b]0;owned\x07HTTP/1.1 200 " * 100_000, ask=False))
        silent = await open_(server(b""))
        wanted = (web, secure, banner, rude, silent)
        ours, theirs = socket.socketpair()
        serving = asyncio.create_task(FakeAgent(root=tmp_path, ports=wanted).serve_socket(theirs))
        channel = await Channel.connect(ours, first=True, deadline_s=20, clock_ns=time.time_ns)
        found = {port["port"]: port["url"] for port in await ports.list_ports(channel)}
        await channel.aclose()
        await serving
    assert found == {
        web: f"http://127.0.0.1:{web}/",
        secure: f"https://127.0.0.1:{secure}/",
        banner: None,
        rude: None,
        silent: None,
        8080: found[8080],
    }
