"""The use cases as the server sees them: the VM is looked up again under its lock before anything is done to it."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

from banger import __version__
from banger.api.messages import API_VERSION, ConnectRequest, DoctorResult, ExecRequest, ExitResult, Ping, SshPlan
from banger.core.errors import BangerError, Denied
from banger.core.layout import Layout
from banger.daemon.context import Request
from banger.daemon.operations.catalogue import Catalogue
from banger.daemon.operations.commands import default_directory, plan_environment, run_for_client
from banger.daemon.operations.delete import DeleteVm
from banger.daemon.operations.plan import PlanVm
from banger.daemon.operations.run import RunVm
from banger.daemon.operations.start import StartVm
from banger.daemon.operations.stop import StopVm
from banger.daemon.operations.workspaces import Workspaces
from banger.daemon.streams import StreamExchange
from banger.daemon.supervisor import Supervisor
from banger.daemon.views import view_vm
from banger.guest.ssh import ensure_known_hosts, plan_ssh_options
from banger.hypervisor.console import read_console
from banger.store.connection import Database
from banger.store.records import VmRecord, list_vms, resolve_vm


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Everything a request may use."""

    layout: Layout
    database: Database
    supervisor: Supervisor
    plan: PlanVm
    run: RunVm
    start: StartVm
    stop: StopVm
    delete: DeleteVm
    workspaces: Workspaces
    catalogue: Catalogue
    doctor: Callable[[], Awaitable[DoctorResult]]
    stop_daemon: Callable[[], None]
    started_at_s: float

    def ping(self) -> Ping:
        return {
            "version": __version__,
            "api_version": API_VERSION,
            "pid": os.getpid(),
            "started_at_s": self.started_at_s,
            "vms_running": len(self.supervisor.running()),
        }

    async def start_vm(self, request: Request, record: VmRecord) -> VmRecord:
        async with self.supervisor.lock(record.id):
            return await self.start(request, await self._again(record))

    async def stop_vm(self, request: Request, record: VmRecord) -> VmRecord:
        async with self.supervisor.lock(record.id):
            await self.stop(request, await self._again(record))
            return await self._again(record)

    async def delete_vm(self, request: Request, record: VmRecord) -> None:
        async with self.supervisor.lock(record.id):
            await self.delete(request, await self._again(record))

    async def exec(self, record: VmRecord, asked: ExecRequest, exchange: StreamExchange) -> ExitResult:
        """Run a command in a running VM."""
        return await run_for_client(
            self.supervisor.channel(record.id, record.name),
            exchange,
            argv=asked["command"],
            environment=plan_environment(self.plan.image_environment(record), asked["environment"], user=asked["user"]),
            cwd=asked["cwd"] or default_directory(record),
            user=asked["user"],
            pty=asked["pty"],
            stdin=asked["stdin"],
        )

    async def connect(self, record: VmRecord, asked: ConnectRequest, exchange: StreamExchange) -> ExitResult:
        """Join the client to a TCP port of the guest; a refused connection is tried again for `wait_s` seconds."""
        deadline_s = time.monotonic() + min(asked["wait_s"], 300.0)
        async with AsyncExitStack() as opened:
            while True:
                channel = self.supervisor.channel(record.id, record.name)
                try:
                    connection = await opened.enter_async_context(channel.connect_tcp(asked["port"]))
                    break
                except Denied:
                    if time.monotonic() >= deadline_s:
                        raise
                    await asyncio.sleep(0.25)

            async def feed() -> None:
                while (data := await exchange.input.get()) is not None:
                    await connection.write(data)
                connection.write_eof()

            feeding = asyncio.create_task(feed())
            try:
                while (chunk := await connection.read()) is not None:
                    await exchange.send_output(chunk.data)
            finally:
                feeding.cancel()
                await asyncio.wait((feeding,))
        return {"status": 0, "signal": None, "vm": None}

    async def ssh(self, record: VmRecord) -> SshPlan:
        self.supervisor.channel(record.id, record.name)
        files = self.layout.vm(record.id)
        host_alias = f"{record.name}.banger"
        ensure_known_hosts(files.known_hosts, host_alias=host_alias, host_key=files.host_key)
        return {
            "vm": view_vm(record, self.supervisor),
            "user": "root",
            "host_alias": host_alias,
            "options": plan_ssh_options(host_alias=host_alias, key=self.layout.user_key, known_hosts=files.known_hosts),
        }

    def read_console(self, record: VmRecord) -> bytes:
        return read_console(self.layout.vm(record.id).console)

    async def after_end(self, vm_id: str, operation: str, reason: str) -> None:
        """A VMM ended by itself."""
        async with self.supervisor.lock(vm_id):
            try:
                record = resolve_vm(await self.database.call(list_vms), vm_id)
            except BangerError:
                return
            if self.supervisor.find(vm_id) is not None:
                await self.stop.after_end(operation, record, reason)

    async def _again(self, record: VmRecord) -> VmRecord:
        """The record as it is now that we hold the lock."""
        return resolve_vm(await self.database.call(list_vms), record.id)
