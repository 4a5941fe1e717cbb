"""Making a VM, the same for `run` and `create`: name it, plan it, make it, and hold its lock until it is started."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from banger.api.messages import SpecRequest
from banger.core.clock import Clock, Ids
from banger.core.vm import State
from banger.daemon.context import Request
from banger.daemon.lifetimes import Lifetimes
from banger.daemon.operations.create import CreateVm
from banger.daemon.operations.naming import find_free_name
from banger.daemon.operations.plan import PlanVm
from banger.daemon.supervisor import Supervisor
from banger.store.connection import Database
from banger.store.records import VmRecord


class MakeVm:
    """Makes a record from a request, and a VM from that."""

    def __init__(
        self,
        *,
        database: Database,
        supervisor: Supervisor,
        plan: PlanVm,
        create: CreateVm,
        lifetimes: Lifetimes,
        clock: Clock,
        ids: Ids,
    ) -> None:
        self._database = database
        self._supervisor = supervisor
        self._plan = plan
        self._create = create
        self._lifetimes = lifetimes
        self._clock = clock
        self._ids = ids

    async def plan(self, request: Request, asked: SpecRequest, *, attended: bool, ephemeral: bool) -> VmRecord:
        """The record of the VM that was asked for. Nothing of it exists yet; what can be refused is refused here."""
        name = await find_free_name(self._database, self._ids, asked["name"])
        spec = await self._plan(request, asked, attended=attended)
        return VmRecord(
            id=self._ids.vm_id(),
            name=name,
            state=State.CREATING,
            spec=spec,
            ephemeral=ephemeral,
            created_at_s=self._clock.now_s(),
            lifetime=self._lifetimes.begin(self._plan.ttl_s(asked)),
        )

    @asynccontextmanager
    async def made(self, request: Request, record: VmRecord) -> AsyncIterator[VmRecord]:
        """The VM, stopped, with its lock held as long as the block lasts.

        Others see it from the first step on; their requests for it wait until the block is left.
        """
        async with self._supervisor.lock(record.id):
            await self._create(request, record)
            yield replace(record, state=State.STOPPED)
