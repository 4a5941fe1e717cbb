"""Making what is wanted, what was journalled and what is there agree, when a daemon starts.

Order: finish or take back what a dead daemon had begun; adopt VMs that still run; clear up after those that do not;
delete VMs whose request died with its daemon; empty the trash. Nothing without our label is touched, and no directory
of a VM is removed because a row is missing.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import Final

from banger.core.clock import Clock, Ids
from banger.core.errors import BangerError
from banger.core.files import empty_trash
from banger.core.layout import Layout
from banger.core.sockets import connect_unix
from banger.core.vm import State
from banger.daemon.collaborators import Chooser, Kernels
from banger.daemon.context import Request
from banger.daemon.journal import Operation
from banger.daemon.operations.delete import DeleteVm
from banger.daemon.operations.start import StartVm
from banger.daemon.operations.stop import StopVm
from banger.daemon.operations.teardown import read_identity_file
from banger.daemon.supervisor import Live, Supervisor
from banger.guest.channel import Channel
from banger.hypervisor.contract import RunningMachine
from banger.store.connection import Database
from banger.store.records import (
    OpenOperation,
    VmRecord,
    end_operation,
    list_open_operations,
    list_vms,
    set_state,
)

log = logging.getLogger(__name__)

ADOPTION_DEADLINE_S: Final = 5.0


class Reconcile:
    """Runs once before the daemon serves anybody."""

    def __init__(
        self,
        *,
        layout: Layout,
        database: Database,
        supervisor: Supervisor,
        kernels: Kernels,
        chooser: Chooser,
        operations: Sequence[Operation],
        start: StartVm,
        stop: StopVm,
        delete: DeleteVm,
        ids: Ids,
        clock: Clock,
    ) -> None:
        self._layout = layout
        self._database = database
        self._supervisor = supervisor
        self._kernels = kernels
        self._chooser = chooser
        self._operations = {operation.kind: operation for operation in operations}
        self._start = start
        self._stop = stop
        self._delete = delete
        self._ids = ids
        self._clock = clock

    async def __call__(self) -> None:
        """Bring the world in order. A VM that resists is left for the next time and logged."""
        for operation in await self._database.call(list_open_operations):
            records = {record.id: record for record in await self._database.call(list_vms)}
            try:
                await self._settle(operation, records.get(operation.vm_id))
            except (BangerError, OSError) as error:
                log.error("%s cannot be settled: %r", operation.id, error)
        for record in await self._database.call(list_vms):
            try:
                await self._restore(record)
            except (BangerError, OSError) as error:
                log.error("%s cannot be brought in order: %r", record.name, error)
        for trash in (self._layout.trash, self._layout.run / "trash", self._layout.run / "scratch"):
            await asyncio.to_thread(empty_trash, trash)

    async def _settle(self, operation: OpenOperation, record: VmRecord | None) -> None:
        """Finish or take back one operation."""
        log.info("settling %s (%s of %s)", operation.id, operation.kind, operation.vm_id)
        handler = self._operations.get(operation.kind)
        if record is None or handler is None:
            await self._database.call(
                lambda connection: end_operation(
                    connection,
                    operation.id,
                    state="undone",
                    ended_at_s=self._clock.now_s(),
                    error="nothing is left of it",
                )
            )
        else:
            await handler.settle(operation, record)

    async def _restore(self, record: VmRecord) -> None:
        """Adopt a VM that runs, clear up after one that does not, delete one that nobody owns any more."""
        request = Request(self._ids.operation_id(), lambda _event: None)
        if record.ephemeral or record.state in (State.DELETING, State.CREATING):
            await self._delete(request, record)
        elif record.state is not State.STOPPED and not await self._adopt(record):
            log.info("%s does not run any more", record.name)
            await self._stop.after_end(f"{request.operation}.stop", record, "it ended while no daemon was running")

    async def _adopt(self, record: VmRecord) -> bool:
        """Take over a VM that another daemon started. False when it does not run."""
        files = self._layout.vm(record.id)
        identity = read_identity_file(files.process)
        if identity is None:
            return False
        kernel = self._kernels.read(record.spec.kernel_digest)
        chosen = await self._chooser.choose(kernel)
        spec = self._start.machine_spec(record, kernel, chosen)
        machine = await chosen.hypervisor.adopt(spec, identity)
        if machine is None:
            return False
        self._supervisor.add(record.id, Live(machine=machine, channel=await self._reconnect(record, machine)))
        log.info("adopted %s", record.name)
        if record.state is not State.RUNNING:
            await self._database.call(lambda connection: set_state(connection, record.id, State.RUNNING))
        return True

    async def _reconnect(self, record: VmRecord, machine: RunningMachine) -> Channel | None:
        try:
            return await Channel.connect(
                connect_unix(self._layout.vm(record.id).channel),
                first=False,
                deadline_s=ADOPTION_DEADLINE_S,
                clock_ns=time.time_ns,
            )
        except (BangerError, OSError) as error:
            log.warning("%s runs (pid %d) but its guest does not answer: %r", record.name, machine.identity.pid, error)
            return None
