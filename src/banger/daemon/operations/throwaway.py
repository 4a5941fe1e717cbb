"""VMs of banger's own, each made for one piece of work in a guest. Nothing of them is left, whoever dies meanwhile."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from banger.core.clock import Clock, Ids
from banger.core.vm import State, VmSpec
from banger.daemon.context import Request
from banger.daemon.journal import shielded
from banger.daemon.operations.create import CreateVm
from banger.daemon.operations.delete import DeleteVm
from banger.daemon.operations.start import StartVm
from banger.daemon.operations.stop import StopVm
from banger.daemon.supervisor import Supervisor
from banger.guest.channel import Channel
from banger.store.records import VmRecord


class Throwaway:
    """One such VM, which is stopped at first. Nothing of its image runs unless it is asked to."""

    def __init__(
        self, request: Request, record: VmRecord, *, supervisor: Supervisor, start: StartVm, stop: StopVm
    ) -> None:
        self._request = request
        self._record = record
        self._supervisor = supervisor
        self._start = start
        self._stop = stop
        self._boots = 0

    async def boot(self, *, nat: bool = False) -> Channel:
        """Start it with the agent as its only program, and return the way to it."""
        self._record = replace(self._record, spec=replace(self._record.spec, nat=nat))
        self._boots += 1
        request = replace(self._request, operation=f"{self._request.operation}.{self._boots}")
        self._record = await self._start(request, self._record, bare=True)
        return self._supervisor.channel(self._record.id, self._record.name)

    async def switch_off(self) -> None:
        """Shut it down, so that its disk is complete."""
        await self._stop(self._request, self._record)
        self._record = replace(self._record, state=State.STOPPED)


class ThrowawayVms:
    """Makes throwaway VMs."""

    def __init__(
        self,
        *,
        supervisor: Supervisor,
        create: CreateVm,
        start: StartVm,
        stop: StopVm,
        delete: DeleteVm,
        clock: Clock,
        ids: Ids,
    ) -> None:
        self._supervisor = supervisor
        self._create = create
        self._start = start
        self._stop = stop
        self._delete = delete
        self._clock = clock
        self._ids = ids

    @asynccontextmanager
    async def made(
        self, request: Request, spec: VmSpec, *, purpose: str, disk: Path | None = None
    ) -> AsyncIterator[Throwaway]:
        """A VM that is there for as long as the block is. Its name begins with `purpose`; `disk` is copied for it.

        The disk must not change before the block is entered.
        """
        vm_id = self._ids.vm_id()
        record = VmRecord(
            id=vm_id,
            name=f"{purpose}-{vm_id[:8]}",
            state=State.CREATING,
            spec=replace(spec, nat=False, runs_entrypoint=False, origins={}),
            ephemeral=True,
            created_at_s=self._clock.now_s(),
        )
        async with self._supervisor.lock(vm_id):
            try:
                await self._create(request, record, disk=disk)
                record = replace(record, state=State.STOPPED)
                yield Throwaway(request, record, supervisor=self._supervisor, start=self._start, stop=self._stop)
            finally:
                await shielded(self._delete(request, record))
