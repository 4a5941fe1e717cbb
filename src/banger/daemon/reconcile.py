"""Bringing rows, journal and processes into agreement, when a daemon starts and every minute after.

Order: finish or undo what a dead daemon had begun; adopt VMs that still run; clean up after those that do not;
delete VMs whose request died with its daemon; empty the trash. Nothing without our label is touched, and no directory
of a VM is removed because a row is missing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial

from banger.core.clock import Clock, Ids
from banger.core.errors import BangerError
from banger.core.files import empty_trash
from banger.core.layout import Layout
from banger.core.leaks import find_unfinished_files
from banger.core.processes import read_identity
from banger.core.vm import State
from banger.daemon.collaborators import Chooser, Images, Kernels
from banger.daemon.context import Request
from banger.daemon.guest_channel import reconnect_to
from banger.daemon.journal import Journal, Operation
from banger.daemon.lifetimes import Lifetimes
from banger.daemon.operations.applying import ApplyPatch, clear_applies
from banger.daemon.operations.copying import CopyFiles
from banger.daemon.operations.delete import DeleteVm
from banger.daemon.operations.fetching import FetchCommits
from banger.daemon.operations.jobs import is_any_running
from banger.daemon.operations.lifecycle import Lifecycle
from banger.daemon.operations.start import StartVm
from banger.daemon.operations.stop import StopVm
from banger.daemon.operations.teardown import read_identity_file
from banger.daemon.supervisor import Live, Supervisor
from banger.hypervisor.contract import RunningMachine
from banger.store.connection import Connection, Database
from banger.store.records import (
    Lifetime,
    OpenOperation,
    VmRecord,
    end_operation,
    list_open_operations,
    list_vms,
    resolve_vm,
    set_lifetime,
    set_running,
    set_state,
)

log = logging.getLogger(__name__)


class Reconcile:
    """Runs before the daemon serves anybody, and then every minute."""

    def __init__(
        self,
        *,
        layout: Layout,
        database: Database,
        supervisor: Supervisor,
        images: Images,
        kernels: Kernels,
        chooser: Chooser,
        operations: Sequence[Operation],
        start: StartVm,
        stop: StopVm,
        delete: DeleteVm,
        lifecycle: Lifecycle,
        lifetimes: Lifetimes,
        journal: Journal,
        ids: Ids,
        clock: Clock,
        interval_s: float,
        stale_after_s: float,
    ) -> None:
        self._layout = layout
        self._database = database
        self._supervisor = supervisor
        self._images = images
        self._kernels = kernels
        self._chooser = chooser
        self._operations = {operation.kind: operation for operation in operations}
        self._start = start
        self._stop = stop
        self._delete = delete
        self._ids = ids
        self._clock = clock
        self._lifecycle = lifecycle
        self._lifetimes = lifetimes
        self._journal = journal
        self._interval_s = interval_s
        self._stale_after_s = stale_after_s
        self._attending: dict[str, asyncio.Task[None]] = {}

    async def __call__(self) -> None:
        """The first run, before anybody is served. A VM that cannot be handled is logged and left for later."""
        for operation in await self._database.call(list_open_operations):
            await self._try(operation.id, partial(self._settle, operation))
        records = await self._database.call(list_vms)
        await asyncio.gather(*(self._try(record.name, partial(self._adopt_or_clear_up, record)) for record in records))
        for trash in (self._layout.trash, self._layout.run / "trash", self._layout.scratch):
            await asyncio.to_thread(empty_trash, trash)
        still_open = [operation.id for operation in await self._database.call(list_open_operations)]
        await asyncio.to_thread(clear_applies, self._layout.applies, still_open)

    async def again(self) -> None:
        """The same while requests are served: operations that nobody works on, and VMs whose time is up.

        Each VM by itself: one that takes long, because its guest hangs or somebody works on it for hours, is left alone
        until that is over, and does not delay the others.
        """
        work: dict[str, list[Callable[[], Awaitable[None]]]] = {}
        for operation in await self._database.call(list_open_operations):
            if operation.id not in self._journal.under_way:
                work.setdefault(operation.vm_id, []).append(partial(self._settle_in_turn, operation))
        for record in await self._database.call(list_vms):
            work.setdefault(record.id, []).append(partial(self._look_after, record))
        for vm_id, acts in work.items():
            if vm_id not in self._attending:
                self._attending[vm_id] = task = asyncio.create_task(self._attend(f"the VM {vm_id}", acts))
                task.add_done_callback(partial(self._attended, vm_id))
        if self._attending:
            await asyncio.wait(self._attending.values(), timeout=self._interval_s)

    async def for_ever(self) -> None:
        """Clean up, and do it all again every minute. Nothing waits for this: ending a build may take a while."""
        try:
            await self._try("what is no VM's", self.clear_up)
            while True:
                await asyncio.sleep(self._interval_s)
                await self._try("the world", self.again)
                await self._try("what is no VM's", self.clear_up)
        finally:
            for task in self._attending.values():
                task.cancel()
            if self._attending:
                await asyncio.wait(self._attending.values())

    async def clear_up(self) -> None:
        """Remove leftovers that belong to no VM and have no maker: builds, drafts, unfinished files."""
        await self._images.clear_up()
        await self._kernels.clear_up()
        for path in await asyncio.to_thread(find_unfinished_files, self._layout, now_s=self._clock.now_s()):
            log.info("removing %s, which was never finished", path)
            path.unlink(missing_ok=True)

    @staticmethod
    async def _try(what: str, work: Callable[[], Awaitable[None]]) -> None:
        """Whatever goes wrong with one thing, the others have their turn, and this one again a minute later."""
        try:
            await work()
        except (BangerError, OSError) as error:
            log.error("%s cannot be reconciled: %r", what, error)
        except Exception:
            log.exception("%s cannot be reconciled, for an unforeseen reason", what)

    async def _attend(self, what: str, acts: Sequence[Callable[[], Awaitable[None]]]) -> None:
        for act in acts:
            await self._try(what, act)

    def _attended(self, vm_id: str, _task: asyncio.Task[None]) -> None:
        del self._attending[vm_id]

    async def _settle_in_turn(self, operation: OpenOperation) -> None:
        async with self._supervisor.lock(operation.vm_id):
            await self._settle(operation)

    async def _look_after(self, record: VmRecord) -> None:
        """End a VM whose time is up, stop one that nobody uses, and clear up after one that ended unseen."""
        operation = self._ids.operation_id()
        request = Request(operation, lambda _event: None)
        if record.lifetime is not None and self._is_over(await self._count_down(record)):
            log.info("%s %s: its time to live is over", operation, record.name)
            await self._lifecycle.delete_if(request, record, lambda now: self._is_over(now.lifetime))
        elif record.state is State.RUNNING and self._is_stale(record):
            if await is_any_running(self._supervisor, record):
                return
            log.info("%s %s: nobody used it for %g s", operation, record.name, self._stale_after_s)
            await self._lifecycle.stop_if(request, record, self._is_stale)
        elif self._is_missing(record):
            async with self._supervisor.lock(record.id):
                record = resolve_vm(await self._database.call(list_vms), record.id)
                if self._is_missing(record):
                    await self._adopt_or_clear_up(record)

    async def _count_down(self, record: VmRecord) -> Lifetime | None:
        """Store what is left of a VM's time, in one transaction: the user may be changing it right now."""

        def write(connection: Connection) -> Lifetime | None:
            lifetime = resolve_vm(list_vms(connection), record.id).lifetime
            if lifetime is not None:
                lifetime = self._lifetimes.count_down(lifetime)
                set_lifetime(connection, record.id, lifetime)
            return lifetime

        return await self._database.call(write)

    def _is_over(self, lifetime: Lifetime | None) -> bool:
        return lifetime is not None and self._lifetimes.count_down(lifetime).left_s <= 0

    def _is_missing(self, record: VmRecord) -> bool:
        """Whether its row says it runs, but no VMM of it is known: it ended unseen, or could not be adopted yet."""
        return record.state in (State.RUNNING, State.PAUSED) and self._supervisor.find(record.id) is None

    def _is_stale(self, record: VmRecord) -> bool:
        return 0 < self._stale_after_s <= self._supervisor.unused_s(record.id)

    async def _settle(self, operation: OpenOperation) -> None:
        """Finish or undo one operation, unless it has ended meanwhile: what succeeded must not be undone."""
        still = {other.id for other in await self._database.call(list_open_operations)}
        if operation.id not in still - self._journal.under_way:
            return
        record = next((row for row in await self._database.call(list_vms) if row.id == operation.vm_id), None)
        handler = self._operations.get(operation.kind)
        log.info("settling %s (%s of %s)", operation.id, operation.kind, operation.vm_id)
        if record is not None and handler is not None:
            await handler.settle(operation, record)
        elif isinstance(handler, CopyFiles | ApplyPatch | FetchCommits):
            await handler.settle(operation, None)  # its files on this computer outlive the VM
        else:
            note = "nothing is left of it"
            await self._database.call(
                lambda connection: end_operation(
                    connection, operation.id, state="undone", ended_at_s=self._clock.now_s(), error=note
                )
            )

    async def _adopt_or_clear_up(self, record: VmRecord) -> None:
        """Adopt a VM that runs, clean up after one that does not, delete one that nobody owns any more."""
        request = Request(self._ids.operation_id(), lambda _event: None)
        if record.ephemeral or record.state in (State.DELETING, State.CREATING):
            await self._delete(request, record)
        elif record.state is not State.STOPPED and not await self._adopt(record):
            log.info("%s no longer runs", record.name)
            await self._stop.after_end(f"{request.operation}.stop", record, "it ended while no daemon was running")

    async def _adopt(self, record: VmRecord) -> bool:
        """Take over a VM that another daemon started. False when it does not run."""
        files = self._layout.vm(record.id)
        identity = read_identity_file(files.process)
        if identity is None or read_identity(identity.pid) != identity:
            return False
        kernel = self._kernels.read(record.spec.kernel_digest)
        chosen = await self._chooser.choose(kernel)
        spec = self._start.machine_spec(record, kernel, chosen)
        machine = await chosen.hypervisor.adopt(spec, identity)
        if machine is None:
            return False
        paused = await _is_paused(machine)
        # The guest is connected to in the background, so that one that hangs, or many slow ones, delay nobody.
        live = Live(machine=machine, channel=None, connect=reconnect_to(files))
        self._supervisor.add(record.id, live)
        if record.started_at_s is None:  # its row was lost and made again
            await live.tried.wait()
            known = replace(
                record,
                started_at_s=files.process.stat().st_mtime,
                accelerator=chosen.accelerator,
                boot_id=live.channel.hello.boot_id if live.channel is not None else "",
            )
            await self._database.call(lambda connection: set_running(connection, known))
        state = State.PAUSED if paused else State.RUNNING
        log.info("adopted %s, which is %s", record.name, state)
        if record.state is not state or paused:
            await self._database.call(lambda connection: set_state(connection, record.id, state))
        return True


async def _is_paused(machine: RunningMachine) -> bool:
    """What the VMM says; if it does not answer, its guest is assumed to run."""
    try:
        return await machine.paused()
    except BangerError as error:
        log.warning("pid %d does not say whether it is paused: %s", machine.identity.pid, error)
        return False
