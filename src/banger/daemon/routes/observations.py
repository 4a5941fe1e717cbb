"""`/v1/vms/show`, `health`, `stats`, `ports` and `ping`: looking without touching."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from starlette.routing import Route

from banger.api.messages import Observation, ObservationsRequest
from banger.core.errors import BangerError
from banger.daemon.context import operation_id
from banger.daemon.exchanges import Requests, error_view
from banger.daemon.routes.decoding import PathParameters, decode
from banger.daemon.services import Services
from banger.daemon.targets import resolve_targets
from banger.daemon.views import view_check, view_detail
from banger.store.records import VmRecord

Look = Callable[[VmRecord, Observation], Awaitable[None]]


class ObservationRoutes:
    """Several VMs at once: one that cannot be looked at is no reason not to look at the others."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def routes(self, requests: Requests) -> list[Route]:
        return [
            Route("/v1/vms/show", requests.plain(self.each(self.show)), methods=["POST"]),
            Route("/v1/vms/health", requests.plain(self.each(self.health)), methods=["POST"]),
            Route("/v1/vms/stats", requests.plain(self.each(self.stats, none_is_all=True)), methods=["POST"]),
            Route("/v1/vms/ports", requests.plain(self.each(self.ports)), methods=["POST"]),
            Route("/v1/vms/ping", requests.plain(self.each(self.ping)), methods=["POST"]),
        ]

    async def show(self, record: VmRecord, seen: Observation) -> None:
        seen["vm"] = view_detail(record, self._services.supervisor, self._services.layout)

    async def health(self, record: VmRecord, seen: Observation) -> None:
        seen["checks"] = [view_check(check) for check in await self._services.observe.health(record)]

    async def stats(self, record: VmRecord, seen: Observation) -> None:
        seen["stats"] = await self._services.observe.stats(record)

    async def ports(self, record: VmRecord, seen: Observation) -> None:
        seen["ports"] = await self._services.observe.ports(record)

    async def ping(self, record: VmRecord, seen: Observation) -> None:
        seen["round_trip_s"] = round(await self._services.observe.ping(record), 6)

    def each(
        self, look: Look, *, none_is_all: bool = False
    ) -> Callable[[PathParameters, bytes], Awaitable[dict[str, list[Observation]]]]:
        """A handler that looks at every VM that the request names, at all of them at once."""

        async def handle(_path: PathParameters, body: bytes) -> dict[str, list[Observation]]:
            refs = decode(body, ObservationsRequest)["refs"]
            records = await self._services.records()
            if none_is_all and not refs:
                refs = [record.name for record in records]
                if not refs:
                    return {"outcomes": []}
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(_look_at(look, ref, target)) for ref, target in resolve_targets(records, refs)
                ]
            return {"outcomes": [task.result() for task in tasks]}

        return handle


async def _look_at(look: Look, ref: str, target: VmRecord | BangerError) -> Observation:
    seen: Observation = {"ref": ref, "name": None, "error": None}
    try:
        if isinstance(target, BangerError):
            raise target
        seen["name"] = target.name
        await look(target, seen)
    except Exception as error:  # noqa: BLE001 - of any kind: the others are looked at all the same
        seen["error"] = error_view(error, operation_id.get())
    return seen
