"""`/v1/vms`: the life of VMs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from starlette.routing import Route

from banger.api.messages import (
    ChangeRequest,
    CreateRequest,
    KillRequest,
    RunRequest,
    StartRequest,
    TargetOutcome,
    TargetsResult,
    VmTargets,
    VmView,
)
from banger.core.errors import BangerError, Invalid
from banger.daemon.context import Request
from banger.daemon.exchanges import Requests, error_view
from banger.daemon.operations.change import Change
from banger.daemon.operations.kill import parse_signal
from banger.daemon.routes.decoding import PathParameters, decode
from banger.daemon.services import Services
from banger.daemon.streams import StreamExchange
from banger.daemon.targets import resolve_targets
from banger.daemon.views import view_vm
from banger.store.records import VmRecord

Act = Callable[[Request, VmRecord], Awaitable[VmRecord | None]]


class VmRoutes:
    """Make, list and move VMs from state to state."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def routes(self, requests: Requests) -> list[Route]:
        lifecycle = self._services.lifecycle
        return [
            Route("/v1/vms", requests.plain(self.list, settled=True), methods=["GET"]),
            Route("/v1/vms/run", requests.stream(self.run, settled=True), methods=["POST"]),
            Route("/v1/vms/start", requests.progress(self.start), methods=["POST"]),
            Route("/v1/vms/stop", requests.progress(self.each(lifecycle.stop)), methods=["POST"]),
            Route("/v1/vms/create", requests.progress(self.create), methods=["POST"]),
            Route("/v1/vms/restart", requests.progress(self.restart), methods=["POST"]),
            Route("/v1/vms/pause", requests.progress(self.each(lifecycle.pause)), methods=["POST"]),
            Route("/v1/vms/resume", requests.progress(self.each(lifecycle.resume)), methods=["POST"]),
            Route("/v1/vms/prune", requests.progress(self.each(lifecycle.prune)), methods=["POST"]),
            Route("/v1/vms/kill", requests.progress(self.kill), methods=["POST"]),
            Route("/v1/vms/set", requests.progress(self.change), methods=["POST"]),
            Route("/v1/vms/delete", requests.progress(self.each(lifecycle.delete)), methods=["POST"]),
        ]

    async def list(self, _path: PathParameters, _body: bytes) -> object:
        return {"vms": [view_vm(record, self._services.supervisor) for record in await self._services.records()]}

    async def run(self, request: Request, _path: PathParameters, body: bytes, exchange: StreamExchange) -> object:
        return await self._services.run(request, decode(body, RunRequest), exchange)

    async def create(self, request: Request, _path: PathParameters, body: bytes) -> VmView:
        return await self._services.create(request, decode(body, CreateRequest))

    async def kill(self, request: Request, _path: PathParameters, body: bytes) -> object:
        asked = decode(body, KillRequest)
        number = parse_signal(asked["signal"])
        kill = self._services.lifecycle.kill
        return await self.on_targets(request, asked["refs"], lambda request, record: kill(request, record, number))

    async def change(self, request: Request, _path: PathParameters, body: bytes) -> object:
        asked = decode(body, ChangeRequest)
        if asked["name"] is not None and len(asked["refs"]) != 1:
            raise Invalid("several VMs cannot have one name", hint="rename one at a time")
        change = Change(
            name=asked["name"],
            vcpu=asked["vcpu"],
            memory_mib=asked["memory_mib"],
            disk_bytes=asked["disk_bytes"],
            nat=asked["nat"],
            ttl_s=asked["ttl_s"],
        )
        apply = self._services.lifecycle.change
        return await self.on_targets(request, asked["refs"], lambda request, record: apply(request, record, change))

    async def start(self, request: Request, _path: PathParameters, body: bytes) -> object:
        asked = decode(body, StartRequest)
        start = partial(self._services.lifecycle.start, wait=asked.get("wait", "agent"))
        return await self.on_targets(request, asked["refs"], start)

    async def restart(self, request: Request, _path: PathParameters, body: bytes) -> object:
        asked = decode(body, StartRequest)
        restart = partial(self._services.lifecycle.restart, wait=asked.get("wait", "agent"))
        return await self.on_targets(request, asked["refs"], restart)

    def each(self, act: Act) -> Callable[[Request, PathParameters, bytes], Awaitable[object]]:
        """A handler that does `act` to every VM that the request names."""

        async def handle(request: Request, _path: PathParameters, body: bytes) -> object:
            return await self.on_targets(request, decode(body, VmTargets)["refs"], act)

        return handle

    async def on_targets(self, request: Request, refs: Sequence[str], act: Act) -> TargetsResult:
        """Resolve all targets from one snapshot, act on them at once, report in the order given."""
        targets = resolve_targets(await self._services.records(), refs)

        async def one(ref: str, target: VmRecord | BangerError) -> TargetOutcome:
            try:
                if isinstance(target, BangerError):
                    raise target
                after = await act(request, target)
            except Exception as error:  # noqa: BLE001 - of any kind: the others are acted on all the same
                return {"ref": ref, "vm": None, "error": error_view(error, request.operation)}
            return {"ref": ref, "vm": view_vm(after, self._services.supervisor) if after else None, "error": None}

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(ref, target)) for ref, target in targets]
        return {"outcomes": [task.result() for task in tasks]}
