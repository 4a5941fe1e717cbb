"""`vm create`: a VM that stays, started or not, with nothing in it."""

from __future__ import annotations

from dataclasses import replace

from banger.api.messages import CreateRequest, VmView
from banger.core.clock import Clock, Ids
from banger.core.vm import State
from banger.daemon.context import Request
from banger.daemon.lifetimes import Lifetimes
from banger.daemon.operations.create import CreateVm
from banger.daemon.operations.naming import find_free_name
from banger.daemon.operations.plan import PlanVm
from banger.daemon.operations.refusing import refusing
from banger.daemon.operations.start import StartVm
from banger.daemon.supervisor import Supervisor
from banger.daemon.views import view_vm
from banger.store.connection import Database
from banger.store.records import VmRecord


class CreateMachine:
    """The use case, out of `create` and `start`."""

    def __init__(
        self,
        *,
        database: Database,
        supervisor: Supervisor,
        plan: PlanVm,
        create: CreateVm,
        start: StartVm,
        lifetimes: Lifetimes,
        clock: Clock,
        ids: Ids,
    ) -> None:
        self._database = database
        self._supervisor = supervisor
        self._plan = plan
        self._create = create
        self._start = start
        self._lifetimes = lifetimes
        self._clock = clock
        self._ids = ids

    async def __call__(self, request: Request, asked: CreateRequest) -> VmView:
        """Make the VM. One that does not start stays, stopped: it was asked for, and its console tells why."""
        with refusing():
            name = await find_free_name(self._database, self._ids, asked["name"])
            spec = await self._plan(request, asked, attended=False)
        record = VmRecord(
            id=self._ids.vm_id(),
            name=name,
            state=State.CREATING,
            spec=spec,
            ephemeral=False,
            created_at_s=self._clock.now_s(),
            lifetime=self._lifetimes.begin(self._plan.ttl_s(asked)),
        )
        async with self._supervisor.lock(record.id):
            await self._create(request, record)
            record = replace(record, state=State.STOPPED)
            if asked["start"]:
                record = await self._start(request, record, wait=asked.get("wait", "agent"))
        return view_vm(record, self._supervisor)
