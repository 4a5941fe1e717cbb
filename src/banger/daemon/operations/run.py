"""`vm run`: a VM, the repository in it, and a command or a shell. The VM's life may be bound to the request's."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from banger.api.messages import ExitResult, RunRequest
from banger.core.commands import check_command, check_terminal_size
from banger.core.errors import Failed, Invalid
from banger.core.layout import Layout
from banger.daemon.context import Request
from banger.daemon.journal import shielded
from banger.daemon.manifest import put_manifest_again
from banger.daemon.operations.choices import inspect_chosen, read_choice, read_guest_path, submodule_places
from banger.daemon.operations.commands import (
    LOGIN_SHELL,
    default_command,
    default_directory,
    default_user,
    plan_tools,
    run_for_client,
    usual_environment,
)
from banger.daemon.operations.delete import DeleteVm
from banger.daemon.operations.importing import ImportWorkspace
from banger.daemon.operations.making import MakeVm
from banger.daemon.operations.ownership import give_to_user
from banger.daemon.operations.packing import Packing
from banger.daemon.operations.plan import PlanVm
from banger.daemon.operations.refusing import refusing
from banger.daemon.operations.setting_up import Setup, SetUpVm, read_setup
from banger.daemon.operations.start import StartVm
from banger.daemon.streams import StreamExchange
from banger.daemon.supervisor import Supervisor
from banger.daemon.views import view_vm
from banger.guest.readiness import Wait
from banger.image.store import Image
from banger.store.connection import Database
from banger.store.records import VmRecord, set_ephemeral
from banger.workspace.packing import settle
from banger.workspace.repository import Repository, inspect_repository


@dataclass(frozen=True, slots=True, kw_only=True)
class _Planned:
    """What a request comes to, decided before anything exists. `record` is not in the database yet."""

    record: VmRecord
    image: Image
    repository: Repository | None
    setup: Setup
    command: Sequence[str]
    environment: Mapping[str, str]


class RunVm:
    """The use case `run`, out of `create`, `start`, a workspace and a command."""

    def __init__(
        self,
        *,
        layout: Layout,
        database: Database,
        supervisor: Supervisor,
        plan: PlanVm,
        make: MakeVm,
        start: StartVm,
        delete: DeleteVm,
        import_workspace: ImportWorkspace,
        set_up: SetUpVm,
    ) -> None:
        self._layout = layout
        self._database = database
        self._supervisor = supervisor
        self._plan = plan
        self._make = make
        self._start = start
        self._delete = delete
        self._import_workspace = import_workspace
        self._set_up = set_up

    async def __call__(self, request: Request, asked: RunRequest, exchange: StreamExchange) -> ExitResult:
        """Run to the end of the command. Everything that can be refused is refused before anything exists."""
        began_s = time.monotonic()
        with refusing():
            planned = await self._decide(request, asked)
        record, setup = planned.record, planned.setup
        kept, kept_later = False, not asked["ephemeral"]
        try:
            async with self._make.made(request, record) as made:
                record = await self._prepare(
                    request,
                    made,
                    planned.repository,
                    setup.guest_path,
                    wait=asked.get("wait", "agent"),
                    durable=kept_later,
                )
                # A shell can be used meanwhile; a command, and whoever waits for `--detach` to return, wants all of it.
                alone = asked["detach"] or planned.command != LOGIN_SHELL
                done = await self._set_up(request, record, setup, planned.environment, wait=alone, kept=kept_later)
                if not asked["ephemeral"]:
                    await self._database.call(lambda connection: set_ephemeral(connection, record.id, ephemeral=False))
                    record = replace(record, ephemeral=False)
                    kept = True
                    await put_manifest_again(self._layout.vm(record.id), record)
            if done.failure and not asked["detach"]:
                raise Failed(done.failure, hint=done.hint)
            request.report({"event": "vm", "vm": view_vm(record, self._supervisor)})
            request.report({"event": "ready", "elapsed_s": time.monotonic() - began_s})
            result: ExitResult = {"status": 0, "signal": None, "vm": None}
            if done.failure:
                request.notice(f"{done.failure} ({done.hint})")
                result["status"] = 1
            if not asked["detach"]:
                result = await self._run_command(record, planned, asked, exchange)
            if kept:
                result["vm"] = view_vm(record, self._supervisor)
            return result
        finally:
            if not kept:
                await shielded(self._remove(request, record))

    async def _decide(self, request: Request, asked: RunRequest) -> _Planned:
        """Refuse what can be refused, and plan the rest. Gets image and kernel if they are not here yet."""
        check_run(asked)
        choice, guest_path = read_choice(asked), read_guest_path(asked)
        repository = None if asked["path"] is None else await inspect_chosen(request, asked["path"], choice)
        wanted = asked.get("bootstrap", True)
        setup = await read_setup(repository, guest_path, wanted=wanted, nat=self._plan.nat(asked))
        setup.tell(request)
        asked = {**asked, "image": setup.choose_image(asked)}
        # Until it is ready the VM belongs to this request: whoever dies now, nothing is left.
        record = await self._make.plan(request, asked, attended=not asked["detach"], ephemeral=True)
        record = replace(record, spec=setup.complete(record.spec))
        image = self._plan.image(record.spec)
        environment = usual_environment(record.spec, image, asked["environment"])
        command = asked["command"] or setup.choose_command(default_command(image))
        check_terminal(asked, command)
        check_command(command, environment)
        return _Planned(
            record=record,
            image=image,
            repository=repository,
            setup=setup,
            command=command,
            environment=environment,
        )

    async def _run_command(
        self, record: VmRecord, planned: _Planned, asked: RunRequest, exchange: StreamExchange
    ) -> ExitResult:
        """Run the command, or the shell, joined to the client's streams."""
        directory = default_directory(record, planned.image)
        with self._supervisor.using(record.id):
            return await run_for_client(
                self._supervisor.channel(record.id, record.name),
                exchange,
                argv=planned.command,
                environment=planned.environment,
                cwd=directory,
                user=default_user(record, planned.image),
                make_cwd=not record.workspaces,
                pty=asked["pty"],
                stdin=asked["stdin"],
                tools=plan_tools(record, directory),
            )

    async def _prepare(
        self,
        request: Request,
        record: VmRecord,
        repository: Repository | None,
        guest_path: str | None,
        *,
        wait: Wait,
        durable: bool,
    ) -> VmRecord:
        """Boot, with the repository being packed meanwhile, and put it in. The caller holds the VM's lock."""
        async with Packing(self._layout.scratch, repository) as packing:
            record = await self._start(request, record, wait=wait)
            if repository is None:
                return record
            channel = self._supervisor.channel(record.id, record.name)
            packed = await settle(await packing.packed())
            packed = packed if guest_path is None else packed.at(guest_path)
            workspace = await self._import_workspace(request, record, channel, packed, repository.top, durable=durable)
        await give_to_user(channel, record, workspace.guest_path)
        record = replace(record, workspaces=(workspace,))
        return await self._put_submodules(request, record, repository, packed.guest_path, durable=durable)

    async def _put_submodules(
        self, request: Request, record: VmRecord, repository: Repository, guest_path: str, *, durable: bool
    ) -> VmRecord:
        """Put the submodules of a full copy in their places, recursively."""
        channel = self._supervisor.channel(record.id, record.name)
        for path, place in submodule_places(repository, guest_path):
            submodule = await inspect_repository(path, repository.choice)
            async with Packing(self._layout.scratch, submodule) as packing:
                packed = (await settle(await packing.packed())).at(place)
                workspace = await self._import_workspace(request, record, channel, packed, path, durable=durable)
            await give_to_user(channel, record, workspace.guest_path)
            record = replace(record, workspaces=(*record.workspaces, workspace))
            record = await self._put_submodules(request, record, submodule, place, durable=durable)
        return record

    async def _remove(self, request: Request, record: VmRecord) -> None:
        async with self._supervisor.lock(record.id):
            await self._delete(request, record)


def check_terminal(asked: RunRequest, command: Sequence[str]) -> None:
    """Raise `Invalid` for a shell without a terminal."""
    if not asked["detach"] and command == LOGIN_SHELL and asked["pty"] is None:
        raise Invalid("a shell needs a terminal", hint="give a command after `--`, or --detach")


def check_run(asked: RunRequest) -> None:
    """Raise `Invalid` for combinations that make no sense, and for a command that no guest takes."""
    if asked["detach"] and asked["ephemeral"]:
        raise Invalid("--rm and --detach exclude each other", hint="a detached VM is deleted with `banger vm delete`")
    if asked["detach"] and asked["command"] is not None:
        raise Invalid(
            "--detach and a command exclude each other", hint="run the command afterwards with `banger vm exec`"
        )
    if asked["image"] is None:
        check_terminal(asked, asked["command"] or LOGIN_SHELL)  # sooner than the default image is made
    if asked["path"] is not None and not asked["path"].startswith("/"):
        raise Invalid("the path of the repository is not absolute")
    if asked["pty"] is not None:
        check_terminal_size(asked["pty"]["rows"], asked["pty"]["columns"])
    check_command(asked["command"], asked["environment"])  # and once more with what the image adds
