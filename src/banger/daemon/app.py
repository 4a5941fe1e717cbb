"""The composition root: the only place that chooses who fulfils which contract."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import uvicorn

from banger.core.clock import Clock, Ids, RandomIds, SystemClock
from banger.core.config.defaults import Defaults, apply_configuration
from banger.core.config.file_sync import GUEST_HOME
from banger.core.config.parsing import Configuration
from banger.core.config.reading import find_home, read_host_defaults
from banger.core.layout import Layout
from banger.core.sockets import listen_unix
from banger.daemon.adapters import (
    HostDataDisks,
    HostImages,
    HostKernels,
    HostSpace,
    QemuChooser,
)
from banger.daemon.collaborators import Chooser, DataDisks, Images, Kernels, Networks, Space
from banger.daemon.exchanges import Requests
from banger.daemon.failpoints import Failpoints, parse_failpoints
from banger.daemon.journal import Journal
from banger.daemon.lifetimes import Lifetimes, SystemUptime, Uptime
from banger.daemon.operations.boot_files import BootFiles
from banger.daemon.operations.catalogue import Catalogue
from banger.daemon.operations.change import ChangeVm
from banger.daemon.operations.console import FollowConsole
from banger.daemon.operations.copying import CopyFiles
from banger.daemon.operations.create import CreateVm
from banger.daemon.operations.create_machine import CreateMachine
from banger.daemon.operations.delete import DeleteVm
from banger.daemon.operations.doctor import Doctor
from banger.daemon.operations.file_sync import SyncFiles
from banger.daemon.operations.forward import ForwardPorts
from banger.daemon.operations.guests import Guests
from banger.daemon.operations.kill import KillVm
from banger.daemon.operations.lifecycle import Lifecycle
from banger.daemon.operations.observe import Observe
from banger.daemon.operations.pause import PauseVm, ResumeVm
from banger.daemon.operations.plan import PlanVm
from banger.daemon.operations.readiness import AwaitGuest
from banger.daemon.operations.run import RunVm
from banger.daemon.operations.start import StartVm
from banger.daemon.operations.stop import StopVm
from banger.daemon.operations.system import System
from banger.daemon.operations.teardown import Teardown
from banger.daemon.operations.workspaces import Workspaces
from banger.daemon.reconcile import Reconcile
from banger.daemon.recovery import open_database
from banger.daemon.routes import build_application
from banger.daemon.services import Services
from banger.daemon.supervisor import Supervisor
from banger.network.user import UserNetworks
from banger.store.connection import Database

log = logging.getLogger(__name__)

RECONCILE_INTERVAL_S: Final = 60.0


class Collaborators:
    """What a test may replace. Everything else is the daemon itself."""

    def __init__(
        self,
        *,
        images: Images,
        kernels: Kernels,
        chooser: Chooser,
        boot_files: BootFiles,
        networks: Networks,
        space: Space,
        disks: DataDisks,
        configuration: Configuration,
        defaults: Defaults,
        user_key: Path,
        sync_files: SyncFiles,
        clock: Clock,
        uptime: Uptime,
        interval_s: float,
        ids: Ids,
        failpoints: Failpoints,
    ) -> None:
        self.images = images
        self.kernels = kernels
        self.chooser = chooser
        self.boot_files = boot_files
        self.networks = networks
        self.space = space
        self.disks = disks
        self.configuration = configuration
        self.defaults = defaults
        self.user_key = user_key
        self.sync_files = sync_files
        self.clock = clock
        self.uptime = uptime
        self.interval_s = interval_s
        self.ids = ids
        self.failpoints = failpoints


def host_collaborators(layout: Layout, configuration: Configuration) -> Collaborators:
    """The real things."""
    user_key = choose_user_key(layout, configuration)
    boot_files = BootFiles(layout=layout, user_key=user_key)
    return Collaborators(
        images=HostImages(layout),
        kernels=HostKernels(layout),
        chooser=QemuChooser(layout, boot_files),
        boot_files=boot_files,
        networks=UserNetworks(python=sys.executable),
        space=HostSpace(layout),
        disks=HostDataDisks(layout),
        configuration=configuration,
        defaults=apply_configuration(read_host_defaults(), configuration),
        user_key=user_key,
        sync_files=SyncFiles(
            configuration.file_sync or (),
            home=Path(find_home(os.environ, uid=os.getuid())),
            guest_home=GUEST_HOME,
        ),
        clock=SystemClock(),
        uptime=SystemUptime(),
        interval_s=RECONCILE_INTERVAL_S,
        ids=RandomIds(),
        failpoints=Failpoints(parse_failpoints(os.environ.get("BANGER_FAILPOINTS", ""))),
    )


def choose_user_key(layout: Layout, configuration: Configuration) -> Path:
    """The ssh key that guests accept: the user's own if the configuration names one."""
    return layout.user_key if configuration.ssh_key_path is None else Path(configuration.ssh_key_path)


async def serve(layout: Layout, parts: Collaborators, *, on_ready: Callable[[str], None]) -> None:
    """Bring the world in order, then answer requests until SIGTERM, SIGINT or a request to stop. VMs go on running.

    `on_ready` gets what the user has to know about a database that had to be made again; nearly always nothing.
    """
    database, recovery = await open_database(layout)
    supervisor = Supervisor()
    ending = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ending.set)
    services, reconcile = compose(layout, parts, database, supervisor, ending, notice=recovery.notice)
    supervisor.when_ended(lambda vm_id, reason: services.lifecycle.after_end(vm_id, parts.ids.operation_id(), reason))
    watching: asyncio.Task[None] | None = None
    try:
        await reconcile()
        watching = asyncio.create_task(reconcile.for_ever())
        await _answer(layout, services, Requests(parts.ids), ending, lambda: on_ready(recovery.notice))
    finally:
        if watching is not None:
            watching.cancel()
            await asyncio.wait((watching,))
        await supervisor.release()
        await database.close()


async def _answer(
    layout: Layout, services: Services, requests: Requests, ending: asyncio.Event, on_ready: Callable[[], None]
) -> None:
    with suppress(FileNotFoundError):
        layout.daemon_socket.unlink()  # we hold the daemon's lock: whoever listened here is dead
    listener = listen_unix(layout.daemon_socket)
    config = uvicorn.Config(
        build_application(services, requests),
        lifespan="off",
        log_config=None,
        access_log=False,
        ws="none",
        http="h11",
        timeout_graceful_shutdown=3,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    waiting = asyncio.create_task(ending.wait())
    try:
        on_ready()  # the socket listens: whoever connects now is answered
        await asyncio.wait((serving, waiting), return_when=asyncio.FIRST_COMPLETED)
        log.info("ending: requests are cancelled, VMs stay")
        await requests.close()
    finally:
        waiting.cancel()
        server.should_exit = True
        await asyncio.wait((serving,))
        listener.close()
        with suppress(FileNotFoundError):
            layout.daemon_socket.unlink()


class _Server(uvicorn.Server):
    """Uvicorn without its own handling of signals, which `serve` does."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def compose(
    layout: Layout,
    parts: Collaborators,
    database: Database,
    supervisor: Supervisor,
    ending: asyncio.Event,
    *,
    notice: str,
) -> tuple[Services, Reconcile]:
    """Put the use cases together."""
    journal = Journal(database=database, clock=parts.clock, failpoints=parts.failpoints)
    teardown = Teardown(layout=layout, supervisor=supervisor)
    create = CreateVm(layout=layout, journal=journal, teardown=teardown, disks=parts.disks)
    await_guest = AwaitGuest(layout=layout, networks=parts.networks)
    start = StartVm(
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
    )
    stop = StopVm(journal=journal, teardown=teardown, supervisor=supervisor)
    kill = KillVm(journal=journal, teardown=teardown, supervisor=supervisor)
    pause = PauseVm(journal=journal, supervisor=supervisor)
    resume = ResumeVm(journal=journal, supervisor=supervisor)
    lifetimes = Lifetimes(parts.uptime, default_s=parts.defaults.ttl_s)
    change = ChangeVm(layout=layout, journal=journal, networks=parts.networks, lifetimes=lifetimes)
    delete = DeleteVm(journal=journal, teardown=teardown, supervisor=supervisor)
    copy = CopyFiles(journal=journal, supervisor=supervisor)
    workspaces = Workspaces(layout=layout, database=database, supervisor=supervisor)
    plan = PlanVm(
        defaults=parts.defaults,
        images=parts.images,
        kernels=parts.kernels,
        chooser=parts.chooser,
        networks=parts.networks,
        space=parts.space,
    )
    run = RunVm(
        layout=layout,
        database=database,
        supervisor=supervisor,
        plan=plan,
        create=create,
        start=start,
        delete=delete,
        workspaces=workspaces,
        lifetimes=lifetimes,
        clock=parts.clock,
        ids=parts.ids,
    )
    create_machine = CreateMachine(
        database=database,
        supervisor=supervisor,
        plan=plan,
        create=create,
        start=start,
        lifetimes=lifetimes,
        clock=parts.clock,
        ids=parts.ids,
    )
    lifecycle = Lifecycle(
        database=database,
        supervisor=supervisor,
        start=start,
        stop=stop,
        kill=kill,
        pause=pause,
        resume=resume,
        change=change,
        delete=delete,
    )
    services = Services(
        layout=layout,
        database=database,
        supervisor=supervisor,
        run=run,
        create=create_machine,
        lifecycle=lifecycle,
        guests=Guests(layout=layout, supervisor=supervisor, plan=plan, user_key=parts.user_key),
        observe=Observe(layout=layout, supervisor=supervisor, images=parts.images, await_guest=await_guest),
        follow_console=FollowConsole(layout=layout, database=database, supervisor=supervisor),
        forward=ForwardPorts(supervisor=supervisor),
        copy=copy,
        workspaces=workspaces,
        catalogue=Catalogue(images=parts.images, kernels=parts.kernels, defaults=parts.defaults),
        system=System(layout=layout, database=database, images=parts.images, kernels=parts.kernels),
        doctor=Doctor(
            layout=layout,
            images=parts.images,
            kernels=parts.kernels,
            chooser=parts.chooser,
            configuration=parts.configuration,
            defaults=parts.defaults,
        ),
        stop_daemon=ending.set,
        started_at_s=parts.clock.now_s(),
        notice=notice,
    )
    reconcile = Reconcile(
        layout=layout,
        database=database,
        supervisor=supervisor,
        kernels=parts.kernels,
        chooser=parts.chooser,
        operations=(create, start, stop, kill, pause, resume, change, delete, copy),
        start=start,
        stop=stop,
        delete=delete,
        ids=parts.ids,
        clock=parts.clock,
        lifecycle=lifecycle,
        lifetimes=lifetimes,
        journal=journal,
        interval_s=parts.interval_s,
        stale_after_s=parts.defaults.auto_stop_stale_after_s,
    )
    return services, reconcile
