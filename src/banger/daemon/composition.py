"""How the use cases are put together from their collaborators."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from banger.core.clock import Clock, Ids
from banger.core.config.defaults import Defaults
from banger.core.config.parsing import Configuration
from banger.core.layout import Layout
from banger.core.vm import HostSize
from banger.daemon.collaborators import Chooser, DataDisks, Images, Kernels, Networks, Packages, Space
from banger.daemon.failpoints import Failpoints
from banger.daemon.journal import Journal, Operation
from banger.daemon.lifetimes import Lifetimes, Uptime
from banger.daemon.operations.applying import ApplyPatch
from banger.daemon.operations.boot_files import BootFiles
from banger.daemon.operations.building import BuildImage
from banger.daemon.operations.change import ChangeVm
from banger.daemon.operations.console import FollowConsole
from banger.daemon.operations.copying import CopyFiles
from banger.daemon.operations.create import CreateVm
from banger.daemon.operations.create_machine import CreateMachine
from banger.daemon.operations.delete import DeleteVm
from banger.daemon.operations.doctor import Doctor
from banger.daemon.operations.exporting import ExportWorkspace
from banger.daemon.operations.fetching import FetchCommits
from banger.daemon.operations.file_sync import SyncFiles
from banger.daemon.operations.forward import ForwardPorts
from banger.daemon.operations.guests import Guests
from banger.daemon.operations.image_export import ExportImage
from banger.daemon.operations.images import ImageVerbs
from banger.daemon.operations.importing import ImportWorkspace
from banger.daemon.operations.jobs import Jobs
from banger.daemon.operations.kernels import KernelVerbs
from banger.daemon.operations.kill import KillVm
from banger.daemon.operations.known_files import KnownFiles
from banger.daemon.operations.lifecycle import Lifecycle
from banger.daemon.operations.locking import Locking
from banger.daemon.operations.making import MakeVm
from banger.daemon.operations.observe import Observe
from banger.daemon.operations.pause import PauseVm, ResumeVm
from banger.daemon.operations.plan import PlanVm
from banger.daemon.operations.preparing import PrepareWorkspace
from banger.daemon.operations.pruning import PruneCache
from banger.daemon.operations.readiness import AwaitGuest
from banger.daemon.operations.room import CheckRoom
from banger.daemon.operations.run import RunVm
from banger.daemon.operations.saving import ReadRoot, SaveImage
from banger.daemon.operations.setting_up import SetUpVm
from banger.daemon.operations.start import StartVm
from banger.daemon.operations.stop import StopVm
from banger.daemon.operations.stored import Users
from banger.daemon.operations.system import System
from banger.daemon.operations.teardown import Teardown
from banger.daemon.operations.throwaway import ThrowawayVms
from banger.daemon.operations.up_to_date import UpToDate
from banger.daemon.operations.updating import UpdateWorkspace
from banger.daemon.operations.workspaces import Workspaces
from banger.daemon.reconcile import Reconcile
from banger.daemon.services import Services
from banger.daemon.supervisor import Supervisor
from banger.store.connection import Database


class Collaborators:
    """Everything that a test may replace. The rest is the daemon itself."""

    def __init__(
        self,
        *,
        images: Images,
        packages: Packages,
        kernels: Kernels,
        chooser: Chooser,
        boot_files: BootFiles,
        networks: Networks,
        space: Space,
        disks: DataDisks,
        configuration: Configuration,
        defaults: Defaults,
        host: HostSize,
        user_key: Path,
        sync_files: SyncFiles,
        clock: Clock,
        uptime: Uptime,
        interval_s: float,
        ids: Ids,
        failpoints: Failpoints,
    ) -> None:
        self.images = images
        self.packages = packages
        self.kernels = kernels
        self.chooser = chooser
        self.boot_files = boot_files
        self.networks = networks
        self.space = space
        self.disks = disks
        self.configuration = configuration
        self.defaults = defaults
        self.host = host
        self.user_key = user_key
        self.sync_files = sync_files
        self.clock = clock
        self.uptime = uptime
        self.interval_s = interval_s
        self.ids = ids
        self.failpoints = failpoints


@dataclass(frozen=True, slots=True, kw_only=True)
class Operations:
    """The journalled operations, and what they share."""

    journal: Journal
    lifetimes: Lifetimes
    await_guest: AwaitGuest
    create: CreateVm
    start: StartVm
    stop: StopVm
    kill: KillVm
    pause: PauseVm
    resume: ResumeVm
    change: ChangeVm
    delete: DeleteVm
    copy: CopyFiles
    import_workspace: ImportWorkspace
    update_workspace: UpdateWorkspace
    export: ExportWorkspace
    apply: ApplyPatch
    fetch: FetchCommits

    def all(self) -> tuple[Operation, ...]:
        """Every kind that a dead daemon may have left open."""
        return (
            self.create,
            self.start,
            self.stop,
            self.kill,
            self.pause,
            self.resume,
            self.change,
            self.delete,
            self.copy,
            self.import_workspace,
            self.update_workspace,
            self.export,
            self.apply,
            self.fetch,
        )


def compose_operations(layout: Layout, parts: Collaborators, database: Database, supervisor: Supervisor) -> Operations:
    """The operations over one database and one supervisor."""
    journal = Journal(database=database, clock=parts.clock, failpoints=parts.failpoints)
    teardown = Teardown(layout=layout, supervisor=supervisor)
    lifetimes = Lifetimes(parts.uptime, default_s=parts.defaults.ttl_s)
    await_guest = AwaitGuest(layout=layout, networks=parts.networks)
    return Operations(
        journal=journal,
        lifetimes=lifetimes,
        await_guest=await_guest,
        create=CreateVm(layout=layout, journal=journal, teardown=teardown, disks=parts.disks),
        start=StartVm(
            layout=layout,
            journal=journal,
            teardown=teardown,
            supervisor=supervisor,
            images=parts.images,
            kernels=parts.kernels,
            chooser=parts.chooser,
            networks=parts.networks,
            space=parts.space,
            boot_files=parts.boot_files,
            await_guest=await_guest,
            sync_files=parts.sync_files,
            clock=parts.clock,
        ),
        stop=StopVm(journal=journal, teardown=teardown, supervisor=supervisor),
        kill=KillVm(journal=journal, teardown=teardown, supervisor=supervisor),
        pause=PauseVm(journal=journal, supervisor=supervisor),
        resume=ResumeVm(journal=journal, supervisor=supervisor),
        change=ChangeVm(layout=layout, host=parts.host, journal=journal, networks=parts.networks, lifetimes=lifetimes),
        delete=DeleteVm(journal=journal, teardown=teardown, supervisor=supervisor),
        copy=CopyFiles(journal=journal, supervisor=supervisor),
        import_workspace=ImportWorkspace(layout=layout, journal=journal, known_files=KnownFiles(layout)),
        update_workspace=UpdateWorkspace(layout=layout, journal=journal, known_files=KnownFiles(layout)),
        export=ExportWorkspace(scratch=layout.scratch, journal=journal, supervisor=supervisor),
        apply=ApplyPatch(layout=layout, journal=journal),
        fetch=FetchCommits(layout=layout, journal=journal, supervisor=supervisor),
    )


def compose_lifecycle(operations: Operations, database: Database, supervisor: Supervisor) -> Lifecycle:
    """The verbs over the operations."""
    return Lifecycle(
        database=database,
        supervisor=supervisor,
        start=operations.start,
        stop=operations.stop,
        kill=operations.kill,
        pause=operations.pause,
        resume=operations.resume,
        change=operations.change,
        delete=operations.delete,
    )


def compose_services(
    layout: Layout,
    parts: Collaborators,
    database: Database,
    supervisor: Supervisor,
    *,
    operations: Operations,
    lifecycle: Lifecycle,
    stop_daemon: Callable[[], None],
    notice: str,
) -> Services:
    """The use cases that the routes call."""
    check_room = CheckRoom(images=parts.images, kernels=parts.kernels, space=parts.space)
    locking = Locking(images=parts.images, kernels=parts.kernels, defaults=parts.defaults)
    plan, make = compose_making(parts, database, supervisor, operations=operations, locking=locking, room=check_room)
    prepare = PrepareWorkspace(
        layout=layout,
        database=database,
        supervisor=supervisor,
        known_files=KnownFiles(layout),
        import_workspace=operations.import_workspace,
        update_workspace=operations.update_workspace,
    )
    up_to_date = UpToDate(prepare, KnownFiles(layout))
    jobs = Jobs(supervisor=supervisor, plan=plan, up_to_date=up_to_date, clock=parts.clock)
    users = Users(database)
    build_image, save_image = compose_makers(layout, parts, database, supervisor, operations=operations, plan=plan)
    return Services(
        layout=layout,
        database=database,
        supervisor=supervisor,
        run=RunVm(
            layout=layout,
            database=database,
            supervisor=supervisor,
            plan=plan,
            make=make,
            start=operations.start,
            delete=operations.delete,
            import_workspace=operations.import_workspace,
            set_up=SetUpVm(jobs=jobs),
        ),
        create=CreateMachine(supervisor=supervisor, make=make, start=operations.start),
        lifecycle=lifecycle,
        jobs=jobs,
        guests=Guests(layout=layout, supervisor=supervisor, plan=plan, up_to_date=up_to_date, user_key=parts.user_key),
        observe=Observe(layout=layout, supervisor=supervisor, images=parts.images, await_guest=operations.await_guest),
        follow_console=FollowConsole(layout=layout, database=database, supervisor=supervisor),
        forward=ForwardPorts(supervisor=supervisor),
        copy=operations.copy,
        prepare=prepare,
        export=operations.export,
        export_image=ExportImage(images=parts.images),
        fetch=operations.fetch,
        workspaces=Workspaces(
            layout=layout,
            supervisor=supervisor,
            export=operations.export,
            apply=operations.apply,
            clock=parts.clock,
        ),
        images=ImageVerbs(
            images=parts.images, kernels=parts.kernels, defaults=parts.defaults, users=users, check_room=check_room
        ),
        locking=locking,
        prune_cache=PruneCache(layout=layout, images=parts.images, kernels=parts.kernels, users=users),
        kernels=KernelVerbs(kernels=parts.kernels, users=users),
        build_image=build_image,
        save_image=save_image,
        system=System(layout=layout, database=database, images=parts.images, kernels=parts.kernels),
        doctor=Doctor(
            layout=layout,
            images=parts.images,
            kernels=parts.kernels,
            chooser=parts.chooser,
            configuration=parts.configuration,
            defaults=parts.defaults,
        ),
        stop_daemon=stop_daemon,
        started_at_s=parts.clock.now_s(),
        notice=notice,
    )


def compose_making(
    parts: Collaborators,
    database: Database,
    supervisor: Supervisor,
    *,
    operations: Operations,
    locking: Locking,
    room: CheckRoom,
) -> tuple[PlanVm, MakeVm]:
    """How VMs are planned and made, for all use cases that make one."""
    plan = PlanVm(
        locking=locking,
        host=parts.host,
        defaults=parts.defaults,
        images=parts.images,
        kernels=parts.kernels,
        chooser=parts.chooser,
        networks=parts.networks,
        space=parts.space,
        check_room=room,
    )
    make = MakeVm(
        database=database,
        supervisor=supervisor,
        plan=plan,
        create=operations.create,
        lifetimes=operations.lifetimes,
        clock=parts.clock,
        ids=parts.ids,
    )
    return plan, make


def compose_makers(
    layout: Layout,
    parts: Collaborators,
    database: Database,
    supervisor: Supervisor,
    *,
    operations: Operations,
    plan: PlanVm,
) -> tuple[BuildImage, SaveImage]:
    """The use cases that make images in guests."""
    throwaway = ThrowawayVms(
        supervisor=supervisor,
        create=operations.create,
        start=operations.start,
        stop=operations.stop,
        delete=operations.delete,
        clock=parts.clock,
        ids=parts.ids,
    )
    read_root = ReadRoot(images=parts.images, sync_files=parts.sync_files, space=parts.space)
    build = BuildImage(
        images=parts.images,
        kernels=parts.kernels,
        packages=parts.packages,
        plan=plan,
        throwaway=throwaway,
        read_root=read_root,
    )
    save = SaveImage(
        layout=layout,
        database=database,
        supervisor=supervisor,
        images=parts.images,
        kernels=parts.kernels,
        space=parts.space,
        throwaway=throwaway,
        read_root=read_root,
    )
    return build, save


def compose_reconcile(
    layout: Layout,
    parts: Collaborators,
    database: Database,
    supervisor: Supervisor,
    *,
    operations: Operations,
    lifecycle: Lifecycle,
) -> Reconcile:
    """The loop that keeps rows, journal and processes in agreement."""
    return Reconcile(
        layout=layout,
        database=database,
        supervisor=supervisor,
        images=parts.images,
        kernels=parts.kernels,
        chooser=parts.chooser,
        operations=operations.all(),
        start=operations.start,
        stop=operations.stop,
        delete=operations.delete,
        ids=parts.ids,
        clock=parts.clock,
        lifecycle=lifecycle,
        lifetimes=operations.lifetimes,
        journal=operations.journal,
        interval_s=parts.interval_s,
        stale_after_s=parts.defaults.auto_stop_stale_after_s,
    )
