"""Everything that a request may use, put together by `daemon.app` and handed to the routes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from banger.api.messages import DoctorResult
from banger.core.errors import WrongState
from banger.core.layout import Layout
from banger.core.progress import Progress
from banger.core.vm import State
from banger.daemon.operations.building import BuildImage
from banger.daemon.operations.console import FollowConsole
from banger.daemon.operations.copying import CopyFiles
from banger.daemon.operations.create_machine import CreateMachine
from banger.daemon.operations.exporting import ExportWorkspace
from banger.daemon.operations.fetching import FetchCommits
from banger.daemon.operations.forward import ForwardPorts
from banger.daemon.operations.guests import Guests
from banger.daemon.operations.image_export import ExportImage
from banger.daemon.operations.images import ImageVerbs
from banger.daemon.operations.jobs import Jobs
from banger.daemon.operations.kernels import KernelVerbs
from banger.daemon.operations.lifecycle import Lifecycle
from banger.daemon.operations.locking import Locking
from banger.daemon.operations.observe import Observe
from banger.daemon.operations.preparing import PrepareWorkspace
from banger.daemon.operations.pruning import PruneCache
from banger.daemon.operations.run import RunVm
from banger.daemon.operations.saving import SaveImage
from banger.daemon.operations.system import System
from banger.daemon.operations.workspaces import Workspaces
from banger.daemon.supervisor import Supervisor
from banger.store.connection import Database
from banger.store.records import VmRecord, list_vms, resolve_vm


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The use cases, and what answers questions about VMs."""

    layout: Layout
    database: Database
    supervisor: Supervisor
    run: RunVm
    create: CreateMachine
    lifecycle: Lifecycle
    guests: Guests
    jobs: Jobs
    observe: Observe
    follow_console: FollowConsole
    forward: ForwardPorts
    copy: CopyFiles
    prepare: PrepareWorkspace
    export: ExportWorkspace
    fetch: FetchCommits
    workspaces: Workspaces
    images: ImageVerbs
    build_image: BuildImage
    save_image: SaveImage
    export_image: ExportImage
    kernels: KernelVerbs
    locking: Locking
    prune_cache: PruneCache
    system: System
    doctor: Callable[[Callable[[Progress], None]], Awaitable[DoctorResult]]
    stop_daemon: Callable[[], None]
    started_at_s: float
    notice: str

    async def records(self) -> Sequence[VmRecord]:
        """All VMs as they are remembered now."""
        return await self.database.call(list_vms)

    async def find(self, ref: str) -> VmRecord:
        """One VM by name, id or the beginning of an id. Raises `NotFound`."""
        return resolve_vm(await self.records(), ref)

    @asynccontextmanager
    async def using_guest(self, ref: str) -> AsyncIterator[VmRecord]:
        """A VM whose guest is used as long as the block lasts, so that it is not stale. Raises `WrongState`."""
        record = await self.find(ref)
        if record.state is State.PAUSED:
            raise WrongState(
                f"the VM {record.name} is paused", hint=f"continue it with `banger vm resume {record.name}`"
            )
        await self.supervisor.tried(record.id)
        with self.supervisor.using(record.id):
            yield record
