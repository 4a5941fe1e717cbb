"""`/v1/vms/{ref}/...`: what clients do inside a running guest."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Final

from starlette.routing import Route

from banger.api.messages import (
    ConnectRequest,
    CopyRequest,
    ExecRequest,
    ExportRequest,
    ForwardRequest,
    LogsRequest,
    PrepareRequest,
    SshDefaults,
    SshPlan,
)
from banger.daemon.context import Request
from banger.daemon.exchanges import Requests
from banger.daemon.routes.decoding import PathParameters, decode
from banger.daemon.services import Services
from banger.daemon.streams import StreamExchange
from banger.store.records import VmRecord

_CHUNK_BYTES: Final = 1 << 18


class GuestRoutes:
    """Commands, connections, ports, files, ssh, the console and workspaces."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def routes(self, requests: Requests) -> list[Route]:
        return [
            Route("/v1/vms/{ref}/exec", requests.stream(self.exec), methods=["POST"]),
            Route("/v1/vms/{ref}/connect", requests.stream(self.connect), methods=["POST"]),
            Route("/v1/vms/{ref}/ssh", requests.plain(self.ssh), methods=["GET"]),
            Route("/v1/ssh", requests.plain(self.ssh_defaults), methods=["GET"]),
            Route("/v1/vms/{ref}/logs", requests.download(self.logs), methods=["GET"]),
            Route("/v1/vms/{ref}/logs/follow", requests.stream(self.follow_logs), methods=["POST"]),
            Route("/v1/vms/{ref}/forward", requests.stream(self.forward), methods=["POST"]),
            Route("/v1/vms/{ref}/copy", requests.progress(self.copy, settled=False), methods=["POST"]),
            Route("/v1/vms/{ref}/workspace/prepare", requests.progress(self.prepare), methods=["POST"]),
            Route("/v1/vms/{ref}/workspace/export", requests.stream(self.export), methods=["POST"]),
        ]

    async def exec(self, request: Request, path: PathParameters, body: bytes, exchange: StreamExchange) -> object:
        asked = decode(body, ExecRequest)
        async with self._guest(path["ref"]) as record:
            return await self._services.guests.exec(request, record, asked, exchange)

    async def connect(self, _request: Request, path: PathParameters, body: bytes, exchange: StreamExchange) -> object:
        asked = decode(body, ConnectRequest)
        async with self._guest(path["ref"]) as record:
            return await self._services.guests.connect(record, asked, exchange)

    async def ssh(self, path: PathParameters, _body: bytes) -> SshPlan:
        async with self._guest(path["ref"]) as record:
            return await self._services.guests.ssh(record)

    async def ssh_defaults(self, _path: PathParameters, _body: bytes) -> SshDefaults:
        return self._services.guests.ssh_defaults()

    async def logs(self, path: PathParameters) -> AsyncIterator[bytes]:
        record = await self._services.find(path["ref"])
        content = await asyncio.to_thread(self._services.guests.read_console, record)
        for start in range(0, len(content), _CHUNK_BYTES):
            yield content[start : start + _CHUNK_BYTES]

    async def follow_logs(
        self, request: Request, path: PathParameters, body: bytes, exchange: StreamExchange
    ) -> object:
        asked = decode(body, LogsRequest)
        record = await self._services.find(path["ref"])
        return await self._services.follow_console(request, record, asked, exchange)

    async def forward(self, request: Request, path: PathParameters, body: bytes, _exchange: StreamExchange) -> object:
        asked = decode(body, ForwardRequest)
        async with self._guest(path["ref"]) as record:
            return await self._services.forward(request, record, asked)

    async def copy(self, request: Request, path: PathParameters, body: bytes) -> object:
        asked = decode(body, CopyRequest)
        async with self._guest(path["ref"]) as record:
            return await self._services.copy(request, record, asked)

    async def prepare(self, request: Request, path: PathParameters, body: bytes) -> object:
        asked = decode(body, PrepareRequest)
        async with self._guest(path["ref"]) as record:
            return await self._services.prepare(request, record, asked)

    async def export(self, request: Request, path: PathParameters, body: bytes, exchange: StreamExchange) -> object:
        asked = decode(body, ExportRequest)
        async with self._guest(path["ref"]) as record:
            return await self._services.export(request, record, asked, exchange)

    def _guest(self, ref: str) -> AbstractAsyncContextManager[VmRecord]:
        return self._services.using_guest(ref)
