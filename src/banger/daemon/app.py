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

from banger.core.clock import RandomIds, SystemClock
from banger.core.config.defaults import apply_configuration
from banger.core.config.file_sync import GUEST_HOME
from banger.core.config.parsing import Configuration
from banger.core.config.reading import find_home, read_host_cpus, read_host_defaults, read_host_memory_bytes
from banger.core.layout import Layout
from banger.core.platforms import host_architecture
from banger.core.sockets import listen_unix
from banger.core.threads import have_many_threads
from banger.core.vm import HostSize
from banger.daemon.adapters import HostDataDisks, HostSpace, QemuChooser
from banger.daemon.composition import (
    Collaborators,
    compose_lifecycle,
    compose_operations,
    compose_reconcile,
    compose_services,
)
from banger.daemon.exchanges import Requests
from banger.daemon.failpoints import Failpoints, parse_failpoints
from banger.daemon.host_catalogues import open_catalogues
from banger.daemon.host_images import HostImages
from banger.daemon.host_kernels import HostKernels
from banger.daemon.host_packages import HostPackages
from banger.daemon.host_registry import HostRegistry
from banger.daemon.lifetimes import SystemUptime
from banger.daemon.operations.boot_files import BootFiles
from banger.daemon.operations.file_sync import SyncFiles
from banger.daemon.recovery import open_database
from banger.daemon.routes import build_application
from banger.daemon.services import Services
from banger.daemon.supervisor import Supervisor
from banger.network.user import UserNetworks

log = logging.getLogger(__name__)

RECONCILE_INTERVAL_S: Final = 60.0


def host_collaborators(layout: Layout, configuration: Configuration) -> Collaborators:
    """The collaborators of a real host."""
    user_key = choose_user_key(layout, configuration)
    boot_files = BootFiles(layout=layout, user_key=user_key)
    registry = HostRegistry(layout, registries=configuration.registries or {}, environment=os.environ)
    catalogues = open_catalogues(layout, configuration.catalogues or ())
    return Collaborators(
        images=HostImages(layout, catalogues, registry),
        packages=HostPackages(layout, registry.cache),
        kernels=HostKernels(layout, catalogues, registry.cache),
        chooser=QemuChooser(layout, boot_files, host=host_architecture()),
        boot_files=boot_files,
        networks=UserNetworks(python=sys.executable),
        space=HostSpace(layout),
        disks=HostDataDisks(layout),
        configuration=configuration,
        defaults=apply_configuration(read_host_defaults(), configuration),
        host=HostSize(cpus=read_host_cpus(), memory_bytes=read_host_memory_bytes()),
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
    """Reconcile, then answer requests until SIGTERM, SIGINT or a request to stop. VMs keep running.

    `on_ready` gets a notice for the user when the database had to be made again, else an empty string.
    """
    have_many_threads()
    database, recovery = await open_database(layout)
    supervisor = Supervisor()
    ending = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ending.set)
    operations = compose_operations(layout, parts, database, supervisor)
    lifecycle = compose_lifecycle(operations, database, supervisor)
    reconcile = compose_reconcile(layout, parts, database, supervisor, operations=operations, lifecycle=lifecycle)
    services = compose_services(
        layout,
        parts,
        database,
        supervisor,
        operations=operations,
        lifecycle=lifecycle,
        stop_daemon=ending.set,
        notice=recovery.notice,
    )
    supervisor.when_ended(lambda vm_id, reason: lifecycle.after_end(vm_id, parts.ids.operation_id(), reason))
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
