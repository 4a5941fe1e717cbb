"""The verbs of a VM's life as clients call them: the VM is looked up again under its lock before anything is done."""

from __future__ import annotations

from banger.core.errors import BangerError
from banger.daemon.context import Request
from banger.daemon.operations.delete import DeleteVm
from banger.daemon.operations.start import StartVm
from banger.daemon.operations.stop import StopVm
from banger.daemon.supervisor import Supervisor
from banger.store.connection import Database
from banger.store.records import VmRecord, list_vms, resolve_vm


class Lifecycle:
    """Orders what happens to one VM; different VMs do not wait for each other."""

    def __init__(
        self, *, database: Database, supervisor: Supervisor, start: StartVm, stop: StopVm, delete: DeleteVm
    ) -> None:
        self._database = database
        self._supervisor = supervisor
        self._start = start
        self._stop = stop
        self._delete = delete

    async def start(self, request: Request, record: VmRecord) -> VmRecord:
        async with self._supervisor.lock(record.id):
            return await self._start(request, await self._again(record))

    async def stop(self, request: Request, record: VmRecord) -> VmRecord:
        async with self._supervisor.lock(record.id):
            await self._stop(request, await self._again(record))
            return await self._again(record)

    async def delete(self, request: Request, record: VmRecord) -> None:
        async with self._supervisor.lock(record.id):
            await self._delete(request, await self._again(record))

    async def after_end(self, vm_id: str, operation: str, reason: str) -> None:
        """A VMM ended by itself."""
        async with self._supervisor.lock(vm_id):
            try:
                record = resolve_vm(await self._database.call(list_vms), vm_id)
            except BangerError:
                return
            if self._supervisor.find(vm_id) is not None:
                await self._stop.after_end(operation, record, reason)

    async def _again(self, record: VmRecord) -> VmRecord:
        """The record as it is now that we hold the lock."""
        return resolve_vm(await self._database.call(list_vms), record.id)
