"""Routes: which request is which use case."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final, TypeVar

import msgspec
from starlette.applications import Starlette
from starlette.routing import Route

from banger.api.messages import (
    ConnectRequest,
    ExecRequest,
    ExportRequest,
    ImportRequest,
    PullRequest,
    RunRequest,
    SshPlan,
    TargetOutcome,
    VmTargets,
)
from banger.core.errors import BangerError, Invalid
from banger.core.untrusted import printable
from banger.daemon.context import Request
from banger.daemon.exchanges import Requests, error_view
from banger.daemon.services import Services
from banger.daemon.streams import StreamExchange
from banger.daemon.views import view_detail, view_vm
from banger.store.records import VmRecord, list_vms, resolve_vm

_CHUNK_BYTES: Final = 1 << 18
Message = TypeVar("Message")
Path = dict[str, str]


def decode(body: bytes, message_type: type[Message]) -> Message:
    """Read a request strictly. Raises `Invalid`."""
    try:
        return msgspec.json.decode(body, type=message_type)
    except msgspec.MsgspecError as error:
        raise Invalid(
            f"the request is not understood: {printable(str(error), limit=200)}",
            hint="run `banger daemon restart` if banger was just updated",
        ) from error


def build_application(services: Services, requests: Requests) -> Starlette:
    """The ASGI application."""
    server = Server(services)
    return Starlette(
        routes=[
            Route("/v1/ping", requests.plain(server.ping), methods=["GET"]),
            Route("/v1/daemon/stop", requests.plain(server.stop_daemon), methods=["POST"]),
            Route("/v1/vms", requests.plain(server.list_vms), methods=["GET"]),
            Route("/v1/vms/run", requests.stream(server.run), methods=["POST"]),
            Route("/v1/vms/start", requests.progress(server.start), methods=["POST"]),
            Route("/v1/vms/stop", requests.progress(server.stop), methods=["POST"]),
            Route("/v1/vms/delete", requests.progress(server.delete), methods=["POST"]),
            Route("/v1/vms/{ref}", requests.plain(server.show), methods=["GET"]),
            Route("/v1/vms/{ref}/exec", requests.stream(server.exec), methods=["POST"]),
            Route("/v1/vms/{ref}/connect", requests.stream(server.connect), methods=["POST"]),
            Route("/v1/vms/{ref}/ssh", requests.plain(server.ssh), methods=["GET"]),
            Route("/v1/vms/{ref}/logs", requests.download(server.logs), methods=["GET"]),
            Route("/v1/vms/{ref}/workspace/export", requests.stream(server.export), methods=["POST"]),
            Route("/v1/images", requests.plain(server.list_images), methods=["GET"]),
            Route("/v1/images/pull", requests.progress(server.pull_image), methods=["POST"]),
            Route("/v1/images/import", requests.progress(server.import_image), methods=["POST"]),
            Route("/v1/kernels", requests.plain(server.list_kernels), methods=["GET"]),
            Route("/v1/doctor", requests.progress(server.doctor), methods=["POST"]),
        ]
    )


class Server:
    """The handlers: decode, call the use case, answer."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def ping(self, _path: Path, _body: bytes) -> object:
        return self._services.ping()

    async def stop_daemon(self, _path: Path, _body: bytes) -> object:
        self._services.stop_daemon()
        return {}

    async def list_vms(self, _path: Path, _body: bytes) -> object:
        return {"vms": [view_vm(record, self._services.supervisor) for record in await self._records()]}

    async def show(self, path: Path, _body: bytes) -> object:
        record = await self._find(path["ref"])
        return view_detail(record, self._services.supervisor, self._services.layout)

    async def run(self, request: Request, _path: Path, body: bytes, exchange: StreamExchange) -> object:
        return await self._services.run(request, decode(body, RunRequest), exchange)

    async def exec(self, _request: Request, path: Path, body: bytes, exchange: StreamExchange) -> object:
        asked = decode(body, ExecRequest)
        return await self._services.exec(await self._find(path["ref"]), asked, exchange)

    async def connect(self, _request: Request, path: Path, body: bytes, exchange: StreamExchange) -> object:
        asked = decode(body, ConnectRequest)
        return await self._services.connect(await self._find(path["ref"]), asked, exchange)

    async def ssh(self, path: Path, _body: bytes) -> SshPlan:
        return await self._services.ssh(await self._find(path["ref"]))

    async def logs(self, path: Path) -> AsyncIterator[bytes]:
        record = await self._find(path["ref"])
        content = await asyncio.to_thread(self._services.read_console, record)
        for start in range(0, len(content), _CHUNK_BYTES):
            yield content[start : start + _CHUNK_BYTES]

    async def export(self, request: Request, path: Path, body: bytes, exchange: StreamExchange) -> object:
        asked = decode(body, ExportRequest)
        return await self._services.workspaces.export(request, await self._find(path["ref"]), asked, exchange)

    async def start(self, request: Request, _path: Path, body: bytes) -> object:
        return await self._for_each(request, decode(body, VmTargets)["refs"], self._services.start_vm)

    async def stop(self, request: Request, _path: Path, body: bytes) -> object:
        return await self._for_each(request, decode(body, VmTargets)["refs"], self._services.stop_vm)

    async def delete(self, request: Request, _path: Path, body: bytes) -> object:
        return await self._for_each(request, decode(body, VmTargets)["refs"], self._services.delete_vm)

    async def list_images(self, _path: Path, _body: bytes) -> object:
        return {"images": await self._services.catalogue.list_images()}

    async def list_kernels(self, _path: Path, _body: bytes) -> object:
        return {"kernels": await self._services.catalogue.list_kernels()}

    async def pull_image(self, request: Request, _path: Path, body: bytes) -> object:
        return await self._services.catalogue.pull(request, decode(body, PullRequest)["name"])

    async def import_image(self, request: Request, _path: Path, body: bytes) -> object:
        asked = decode(body, ImportRequest)
        return await self._services.catalogue.import_tar(request, name=asked["name"], path=asked["path"])

    async def doctor(self, _request: Request, _path: Path, _body: bytes) -> object:
        return await self._services.doctor()

    async def _records(self) -> list[VmRecord]:
        return await self._services.database.call(list_vms)

    async def _find(self, ref: str) -> VmRecord:
        return resolve_vm(await self._records(), ref)

    async def _for_each(
        self, request: Request, refs: Sequence[str], act: Callable[[Request, VmRecord], Awaitable[VmRecord | None]]
    ) -> object:
        """Resolve all targets from one snapshot, act on them at once, report in the order given."""
        if not refs:
            raise Invalid("no VM was named", hint="`banger vm list` shows the VMs there are")
        records = await self._records()

        async def one(ref: str) -> TargetOutcome:
            try:
                record = await act(request, resolve_vm(records, ref))
            except BangerError as error:
                return {"ref": ref, "vm": None, "error": error_view(error, request.operation)}
            return {"ref": ref, "vm": view_vm(record, self._services.supervisor) if record else None, "error": None}

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(ref)) for ref in dict.fromkeys(refs)]
        return {"outcomes": [task.result() for task in tasks]}
