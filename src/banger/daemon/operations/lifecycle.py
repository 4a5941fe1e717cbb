"""The verbs of a VM's life as clients call them: the VM is looked up again under its lock before anything is done."""

from __future__ import annotations

import signal
from collections.abc import Callable

from banger.core.errors import BangerError, WrongState
from banger.core.vm import State
from banger.daemon.context import Request
from banger.daemon.operations.change import Change, ChangeVm
from banger.daemon.operations.delete import DeleteVm
from banger.daemon.operations.kill import KillVm
from banger.daemon.operations.pause import PauseVm, ResumeVm
from banger.daemon.operations.start import StartVm
from banger.daemon.operations.stop import StopVm
from banger.daemon.supervisor import Supervisor
from banger.guest.readiness import Wait
from banger.store.connection import Database
from banger.store.records import VmRecord, list_vms, resolve_vm


class Lifecycle:
    """Makes changes to one VM happen one after the other; different VMs do not wait for each other."""

    def __init__(
        self,
        *,
        database: Database,
        supervisor: Supervisor,
        start: StartVm,
        stop: StopVm,
        kill: KillVm,
        pause: PauseVm,
        resume: ResumeVm,
        change: ChangeVm,
        delete: DeleteVm,
    ) -> None:
        self._database = database
        self._supervisor = supervisor
        self._start = start
        self._stop = stop
        self._kill = kill
        self._pause = pause
        self._resume = resume
        self._change = change
        self._delete = delete

    async def start(self, request: Request, record: VmRecord, *, wait: Wait = "agent") -> VmRecord:
        async with self._supervisor.lock(record.id):
            return await self._start(request, await self._again(record), wait=wait)

    async def stop(self, request: Request, record: VmRecord) -> VmRecord:
        async with self._supervisor.lock(record.id):
            await self._stop(request, await self._again(record))
            return await self._again(record)

    async def restart(self, request: Request, record: VmRecord, *, wait: Wait = "agent") -> VmRecord:
        """Stop and start, holding the VM's lock throughout. A stopped VM is started."""
        async with self._supervisor.lock(record.id):
            await self._stop(request, await self._again(record))
            return await self._start(request, await self._again(record), wait=wait)

    async def kill(self, request: Request, record: VmRecord, number: signal.Signals) -> VmRecord:
        """End a VM. SIGKILL does not wait until whoever works on it is done, such as a stop whose guest hangs."""
        lock = self._supervisor.lock(record.id)
        live = self._supervisor.find(record.id)
        if number is signal.SIGKILL and lock.locked() and live is not None:
            live.machine.signal(number)
        async with lock:
            await self._kill(request, await self._again(record), number)
            return await self._again(record)

    async def pause(self, request: Request, record: VmRecord) -> VmRecord:
        async with self._supervisor.lock(record.id):
            await self._pause(request, await self._again(record))
            return await self._again(record)

    async def resume(self, request: Request, record: VmRecord) -> VmRecord:
        async with self._supervisor.lock(record.id):
            await self._resume(request, await self._again(record))
            return await self._again(record)

    async def change(self, request: Request, record: VmRecord, change: Change) -> VmRecord:
        async with self._supervisor.lock(record.id):
            await self._change(request, await self._again(record), change)
            return await self._again(record)

    async def delete(self, request: Request, record: VmRecord) -> None:
        async with self._supervisor.lock(record.id):
            await self._delete(request, await self._again(record))

    async def prune(self, request: Request, record: VmRecord) -> None:
        """Delete a VM that does not run. Raises `WrongState` if it has been started meanwhile."""
        async with self._supervisor.lock(record.id):
            record = await self._again(record)
            if record.state in (State.RUNNING, State.PAUSED, State.STARTING):
                raise WrongState(
                    f"the VM {record.name} is {record.state}, and only VMs that do not run can be pruned",
                    hint=f"`banger vm delete {record.name}` deletes it anyway",
                )
            await self._delete(request, record)

    async def stop_if(self, request: Request, record: VmRecord, still: Callable[[VmRecord], bool]) -> None:
        """Stop a running VM if `still` holds once its lock is taken."""
        async with self._supervisor.lock(record.id):
            record = await self._again(record)
            if record.state is State.RUNNING and still(record):
                await self._stop(request, record)

    async def delete_if(self, request: Request, record: VmRecord, still: Callable[[VmRecord], bool]) -> None:
        """Delete a VM if `still` holds once its lock is taken."""
        async with self._supervisor.lock(record.id):
            record = await self._again(record)
            if still(record):
                await self._delete(request, record)

    async def after_end(self, vm_id: str, operation: str, reason: str) -> None:
        """Clean up after a VMM that ended by itself. The caller holds the VM's lock."""
        try:
            record = resolve_vm(await self._database.call(list_vms), vm_id)
        except BangerError:
            return
        await self._stop.after_end(operation, record, reason)

    async def _again(self, record: VmRecord) -> VmRecord:
        """The record as it is now that we hold the lock."""
        return resolve_vm(await self._database.call(list_vms), record.id)
