"""What listens in a guest, and which of that are web servers."""

from __future__ import annotations

import asyncio
from typing import Final

from banger.api.messages import PortView
from banger.core.errors import BangerError
from banger.guest import web
from banger.guest.channel import Channel
from banger.guest.info import Listener

PROBE_DEADLINE_S: Final = 3.0
PROBES_AT_ONCE: Final = 16  # in one guest; a stream each, of which it has 256
PROBE_LIMIT: Final = 64


async def list_ports(channel: Channel) -> list[PortView]:
    """Listeners by protocol, port and address; each TCP one is asked whether it speaks HTTP."""
    info = await channel.info()
    listeners = sorted(set(info.listeners), key=lambda one: (one.protocol, one.port, one.address, one.process))
    asked = [one for one in listeners if one.protocol == "tcp"][:PROBE_LIMIT]
    gate = asyncio.Semaphore(PROBES_AT_ONCE)

    async def ask(listener: Listener) -> str | None:
        async with gate:
            return await _find_url(channel, listener)

    urls = dict(zip(asked, await asyncio.gather(*map(ask, asked)), strict=True))
    return [
        {
            "protocol": "udp" if one.protocol == "udp" else "tcp",
            "address": one.address,
            "port": one.port,
            "pid": one.pid,
            "process": one.process,
            "url": urls.get(one),
        }
        for one in listeners
    ]


async def _find_url(channel: Channel, listener: Listener) -> str | None:
    address = web.address_to_ask(listener.address)
    answer = await _ask(channel, address, listener.port, web.HTTP_REQUEST)
    if web.may_speak_tls(answer) and web.speaks_tls(await _ask(channel, address, listener.port, web.tls_request())):
        return web.url_of("https", address, listener.port)
    return web.url_of("http", address, listener.port) if web.speaks_http(answer) else None


async def _ask(channel: Channel, address: str, port: int, request: bytes) -> bytes:
    """The first bytes of the answer to `request`; empty when none comes in time."""
    answer = b""
    try:
        async with asyncio.timeout(PROBE_DEADLINE_S), channel.connect_tcp(port, address) as connection:
            await connection.write(request)
            while len(answer) < web.ANSWER_BYTES and (chunk := await connection.read()) is not None:
                answer += chunk.data
    except (TimeoutError, BangerError):
        pass
    return answer[: web.ANSWER_BYTES]
