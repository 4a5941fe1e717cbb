"""Delete a VM: end it, remove its files, forget it. The row goes last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from banger.core.vm import State
from banger.daemon.context import Request
from banger.daemon.journal import Journal, Step, nothing
from banger.daemon.operations.teardown import Teardown
from banger.daemon.supervisor import Supervisor
from banger.store.records import OpenOperation, VmRecord, delete_vm, set_state

KIND = "delete"


class DeleteVm:
    """The operation `delete`. Rolls forward."""

    kind: Final = KIND

    def __init__(self, *, journal: Journal, teardown: Teardown, supervisor: Supervisor) -> None:
        self._journal = journal
        self._teardown = teardown
        self._supervisor = supervisor

    async def __call__(self, request: Request, record: VmRecord) -> None:
        """Delete a VM in any state. The caller holds the VM's lock."""
        await self._journal.roll_forward(
            kind=KIND,
            operation_id=f"{request.operation}.{KIND}.{record.id[:8]}",
            vm_id=record.id,
            begin=lambda connection: set_state(connection, record.id, State.DELETING),
            steps=self.steps(record),
            finish=lambda connection: delete_vm(connection, record.id),
        )
        self._supervisor.forget_lock(record.id)

    async def settle(self, operation: OpenOperation, record: VmRecord) -> None:
        """Finish what a dead daemon began."""
        await self._journal.finish_forward(
            kind=KIND,
            operation_id=operation.id,
            steps=self.steps(record),
            finish=lambda connection: delete_vm(connection, record.id),
        )

    def steps(self, record: VmRecord) -> Sequence[Step]:
        """The steps, also for a later daemon that has to finish them."""
        return (
            Step("processes", lambda: self._teardown.remove_processes(record.id), nothing),
            Step("run_directory", lambda: self._teardown.remove_run_directory(record.id), nothing),
            Step("state_directory", lambda: self._teardown.remove_state_directory(record.id), nothing),
        )
