"""What clients do inside a running guest: commands, connections to its ports, its ssh server, its console."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from banger.api.messages import ConnectRequest, ExecRequest, ExitResult, SshDefaults, SshPlan
from banger.core.errors import Denied
from banger.core.finishing import finish
from banger.core.layout import Layout
from banger.daemon.context import Request
from banger.daemon.operations.commands import (
    LOGIN_SHELL,
    default_user,
    find_workspace,
    plan_tools,
    resolve_directory,
    run_for_client,
    usual_environment,
)
from banger.daemon.operations.joining import feed_guest
from banger.daemon.operations.plan import PlanVm
from banger.daemon.operations.up_to_date import UpToDate
from banger.daemon.streams import StreamExchange
from banger.daemon.supervisor import Supervisor
from banger.daemon.views import view_vm
from banger.guest.readiness import SSH_PORT
from banger.guest.ssh import ensure_known_hosts, plan_shared_options, plan_ssh_options, read_host_key
from banger.hypervisor.console import read_console
from banger.store.records import VmRecord

TELL_AFTER_S: Final = 1.0
_SSH_USER: Final = "root"


class Guests:
    """Requests that need the channel to a guest. None of them changes the VM itself."""

    def __init__(
        self, *, layout: Layout, supervisor: Supervisor, plan: PlanVm, up_to_date: UpToDate, user_key: Path
    ) -> None:
        self._layout = layout
        self._supervisor = supervisor
        self._plan = plan
        self._up_to_date = up_to_date
        self._user_key = user_key

    async def exec(
        self, request: Request, record: VmRecord, asked: ExecRequest, exchange: StreamExchange
    ) -> ExitResult:
        """Run a command in a running VM, with a notice if the workspace's repository has moved on.

        With `prepare` the workspace is brought up to date first.
        """
        channel = self._supervisor.channel(record.id, record.name)
        image = self._plan.image(record.spec)
        cwd = resolve_directory(record, image, asked["cwd"])
        workspace = find_workspace(record, cwd)
        began_s = time.monotonic()
        if asked.get("prepare"):
            await self._up_to_date.bring(request, record, workspace)
            request.report({"event": "ready", "elapsed_s": time.monotonic() - began_s})
            workspace = None
        telling = asyncio.create_task(self._up_to_date.tell(request, record, workspace))
        try:
            return await run_for_client(
                channel,
                exchange,
                argv=LOGIN_SHELL if asked["command"] is None else asked["command"],
                environment=usual_environment(record.spec, image, asked["environment"]),
                cwd=cwd,
                user=asked["user"] or default_user(record, image),
                tools=plan_tools(record, cwd),
                timeout_s=asked.get("timeout_s"),
                make_cwd=asked["cwd"] is None and not record.workspaces,
                pty=asked["pty"],
                stdin=asked["stdin"],
            )
        finally:
            await telling  # which takes milliseconds, and two seconds at the most

    async def connect(self, record: VmRecord, asked: ConnectRequest, exchange: StreamExchange) -> ExitResult:
        """Join the client to a TCP port of the guest; a refused connection is retried for `wait_s` seconds."""
        began_s = time.monotonic()
        deadline_s = began_s + min(asked["wait_s"], 300.0)
        told = False
        async with AsyncExitStack() as opened:
            while True:
                channel = self._supervisor.channel(record.id, record.name)
                try:
                    connection = await opened.enter_async_context(channel.connect_tcp(asked["port"]))
                    break
                except Denied as error:
                    if time.monotonic() >= deadline_s:
                        if asked["port"] == SSH_PORT:
                            error.hint = f"has the image an ssh server? `banger vm exec {record.name}` needs none"
                        raise
                    if not told and time.monotonic() - began_s >= TELL_AFTER_S:
                        told = True
                        text = f"waiting until port {asked['port']} of {record.name} answers"
                        await exchange.send_event({"event": "notice", "text": text})
                    await asyncio.sleep(0.25)
            feeding = asyncio.create_task(feed_guest(connection, exchange.input.get))
            try:
                while (chunk := await connection.read()) is not None:
                    await exchange.send_output(chunk.data)
            finally:
                feeding.cancel()
                await asyncio.wait((feeding,))
        return {"status": 0, "signal": None, "vm": None}

    async def ssh(self, record: VmRecord) -> SshPlan:
        self._supervisor.channel(record.id, record.name)
        files = self._layout.vm(record.id)
        host_alias = f"{record.name}.banger"
        await finish(
            asyncio.to_thread(ensure_known_hosts, files.known_hosts, host_alias=host_alias, host_key=files.host_key)
        )
        return {
            "vm": view_vm(record, self._supervisor),
            "user": _SSH_USER,
            "host_alias": host_alias,
            "host_key": read_host_key(files.host_key),
            "options": plan_ssh_options(host_alias=host_alias, key=self._user_key, known_hosts=files.known_hosts),
        }

    def ssh_defaults(self) -> SshDefaults:
        """The ssh options that are the same for every guest."""
        return {"user": _SSH_USER, "options": plan_shared_options(key=self._user_key)}

    def read_console(self, record: VmRecord) -> bytes:
        return read_console(self._layout.vm(record.id).console)
