"""`vm workspace prepare`: put a repository into a running VM, or bring it up to date there."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from banger.api.messages import PrepareRequest, PrepareResult, StageEvent
from banger.core.errors import AlreadyExists, Failed, Invalid, Unsupported, WrongState
from banger.core.layout import Layout
from banger.core.scratch import scratch_directory
from banger.core.untrusted import printable
from banger.daemon.context import Request
from banger.daemon.operations.choices import inspect_chosen, read_choice, read_guest_path, submodule_places
from banger.daemon.operations.guest_programs import GuestPrograms
from banger.daemon.operations.importing import ImportWorkspace
from banger.daemon.operations.known_files import KnownFiles
from banger.daemon.operations.ownership import give_to_user
from banger.daemon.operations.refusing import refusing
from banger.daemon.operations.updating import UpdateWorkspace
from banger.daemon.supervisor import Supervisor
from banger.guest.channel import Channel
from banger.store.connection import Database
from banger.store.records import VmRecord, WorkspaceRecord, list_vms, resolve_vm
from banger.workspace.known import Known
from banger.workspace.packing import Look, look_at, pack_whole, settle
from banger.workspace.repacking import PackedUpdate, has_all, pack_update
from banger.workspace.repository import Repository, find_top, inspect_repository, plan_guest_path
from banger.workspace.survey import Survey, clear, survey
from banger.workspace.update import UpdatePlan, plan_update

_NAMED_CONFLICTS: Final = 3


class PrepareWorkspace:
    """The use case `prepare`, out of `import` and `update`."""

    def __init__(
        self,
        *,
        layout: Layout,
        database: Database,
        supervisor: Supervisor,
        known_files: KnownFiles,
        import_workspace: ImportWorkspace,
        update_workspace: UpdateWorkspace,
    ) -> None:
        self._layout = layout
        self._database = database
        self._supervisor = supervisor
        self._known_files = known_files
        self._import_workspace = import_workspace
        self._update_workspace = update_workspace

    async def __call__(self, request: Request, record: VmRecord, asked: PrepareRequest) -> PrepareResult:
        """Put the repository in, or bring its workspace up to date by moving only what changed.

        Raises `WrongState` when work in the guest would be lost, unless that was asked for.
        """
        began_s = time.monotonic()
        async with self._supervisor.lock(record.id):
            record = await self._again(record)
            with refusing():
                guest_path = read_guest_path(asked)
                top = await find_repository(asked["path"])
                old = find_prepared(record, top, guest_path)
                known = None if old is None else await self._known_files.read(record.id, old)
                choice = read_choice(asked) if known is None else read_choice(asked, known.choice)
                repository = await inspect_chosen(request, asked["path"], choice)
            place = old.guest_path if old is not None else guest_path or plan_guest_path(top)
            result = await self._prepare(_Work(request, record, repository, place, asked["overwrite"]))
        return {**result, "elapsed_s": time.monotonic() - began_s}

    async def _prepare(self, work: _Work) -> PrepareResult:
        """Prepare one repository, and then its submodules."""
        async with scratch_directory(self._layout.scratch) as scratch:
            async with telling(work.request, f"looking at {printable(str(work.repository.top), limit=200)}"):
                look = await look_at(work.repository, Path(scratch))
            old = next((each for each in work.record.workspaces if each.guest_path == work.guest_path), None)
            update = None if old is None else await self._plan(work, look, old)
            if old is None or update is None:
                result = await self._import(work, look, old)
            elif isinstance(update, WorkspaceRecord):
                result = view_prepared(update, created=False, files=0, size_bytes=0)
            else:
                result = await self._update(work, old, update)
        for path, place in submodule_places(work.repository, work.guest_path):
            submodule = await inspect_repository(path, work.repository.choice)
            record = await self._again(work.record)
            below = await self._prepare(_Work(work.request, record, submodule, place, work.overwrite))
            for member in ("files", "removed", "size_bytes"):
                result[member] += below[member]
        return result

    async def _import(self, work: _Work, look: Look, old: WorkspaceRecord | None) -> PrepareResult:
        packed = (await settle(await pack_whole(look))).at(work.guest_path)
        channel = self._channel(work.record)
        if old is not None:
            await clear(GuestPrograms(channel), guest_path=old.guest_path)
        workspace = await self._import_workspace(
            work.request, work.record, channel, packed, work.repository.top, durable=not work.record.ephemeral
        )
        await give_to_user(channel, work.record, workspace.guest_path)
        return view_prepared(workspace, created=True, files=packed.file_count, size_bytes=packed.total_bytes)

    async def _plan(self, work: _Work, look: Look, old: WorkspaceRecord) -> PackedUpdate | WorkspaceRecord | None:
        """What is to be sent; or the workspace itself when the guest has everything.

        None when nothing in the guest can be brought up to date, and it may be replaced.
        """
        known = await self._known_files.read(work.record.id, old)
        guest = GuestPrograms(self._channel(work.record))
        try:
            known = check_known(work, old, known)
            async with telling(work.request, f"asking {work.record.name} what was changed there"):
                found = await survey(guest, guest_path=old.guest_path, base=known.base, branch=work.repository.branch)
        except (Failed, Unsupported, Invalid):
            if work.overwrite:
                return None
            raise
        plan = plan_update(
            before=known.files,
            after=look.in_tree,
            sizes={file.path: file.size for file in look.files if file.stamp is not None},
            changes=found.changes,
            overwrite=work.overwrite,
        )
        if not work.overwrite:
            await check_commits(work, look, known, found)
            check_conflicts(work.record.name, plan)
        return old if await has_all(look, known, plan, found) else await pack_update(look, known, plan)

    async def _update(self, work: _Work, old: WorkspaceRecord, packed: PackedUpdate) -> PrepareResult:
        channel = self._channel(work.record)
        workspace = await self._update_workspace(work.request, work.record, channel, old, packed)
        await give_to_user(channel, work.record, workspace.guest_path)
        return view_prepared(
            workspace,
            created=False,
            files=packed.sent_count,
            removed=packed.removed_count,
            size_bytes=packed.sent_bytes,
        )

    def _channel(self, record: VmRecord) -> Channel:
        return self._supervisor.channel(record.id, record.name)

    async def _again(self, record: VmRecord) -> VmRecord:
        return resolve_vm(await self._database.call(list_vms), record.id)


@dataclass(frozen=True, slots=True)
class _Work:
    """One repository on its way to one place in a VM."""

    request: Request
    record: VmRecord
    repository: Repository
    guest_path: str
    overwrite: bool


@asynccontextmanager
async def telling(request: Request, text: str) -> AsyncIterator[None]:
    """A stage of a request."""
    began_s = time.monotonic()
    event: StageEvent = {"event": "stage", "stage": "repository", "text": text, "state": "begin"}
    request.report(event)
    yield
    request.report({**event, "state": "end", "elapsed_s": time.monotonic() - began_s})


async def find_repository(path: str) -> Path:
    """The top of the repository around a path of the host. Raises `Invalid`."""
    if not path.startswith("/"):
        raise Invalid("the path of the repository is not absolute")
    if not Path(path).is_dir():
        raise Invalid(f"{printable(path)} is not a directory", hint="give the path of a git repository")
    return await find_top(Path(path))


def check_known(work: _Work, old: WorkspaceRecord, known: Known | None) -> Known:
    """What is known of a workspace. Raises `Failed` if that is not enough to bring it up to date."""
    again = "--overwrite drops what was done there and copies everything again"
    place = f"{printable(old.guest_path)} in {work.record.name}"
    if known is None or known.object_format != work.repository.object_format:
        raise Failed(f"it is not known what {place} was copied from", hint=again)
    if known.choice.mode != work.repository.choice.mode:
        raise Failed(f"{place} was copied with --mode {known.choice.mode}", hint=again)
    return known


async def check_commits(work: _Work, look: Look, known: Known, found: Survey) -> None:
    """Raise `WrongState` when commits of the guest would end up on no branch."""
    name = work.record.name
    for commit in {found.head, found.tip} - {known.head}:
        if commit is not None and not await look.source.has_commit(commit):
            raise WrongState(
                f"{printable(work.guest_path)} in {name} has commits that are not in the repository",
                hint=f"`banger vm workspace export {name}` brings the changes out; --overwrite drops the commits",
            )


def find_prepared(record: VmRecord, top: Path, guest_path: str | None) -> WorkspaceRecord | None:
    """The workspace that a repository has in a VM, if any. Raises `AlreadyExists` for the place of another one."""
    source = str(top)
    mine = [workspace for workspace in record.workspaces if workspace.source == source]
    if guest_path is None and len(mine) > 1:
        places = ", ".join(printable(workspace.guest_path) for workspace in mine)
        raise Invalid(f"the repository is in {record.name} several times: {places}", hint="say which with --guest-path")
    if guest_path is None and mine:
        return mine[0]
    wanted = guest_path or plan_guest_path(top)
    for workspace in record.workspaces:
        if workspace.guest_path == wanted:
            if workspace.source == source:
                return workspace
            raise AlreadyExists(
                f"{wanted} in {record.name} is the workspace of {printable(workspace.source, limit=200)}",
                hint="choose another place with --guest-path",
            )
        if f"{wanted}/".startswith(f"{workspace.guest_path}/") or f"{workspace.guest_path}/".startswith(f"{wanted}/"):
            raise AlreadyExists(
                f"{wanted} and the workspace {workspace.guest_path} in {record.name} would be inside each other",
                hint="choose another place with --guest-path",
            )
    return None


def check_conflicts(name: str, plan: UpdatePlan) -> None:
    """Raise `WrongState` when an update would overwrite work in the guest."""
    if plan.conflicts:
        shown = ", ".join(printable(path, limit=100) for path in plan.conflicts[:_NAMED_CONFLICTS])
        more = len(plan.conflicts) - _NAMED_CONFLICTS
        raise WrongState(
            f"changed both here and in {name}: {shown}" + (f", and {more} more" if more > 0 else ""),
            hint=f"`banger vm workspace export {name}` brings the changes out; --overwrite replaces them",
        )


def view_prepared(
    workspace: WorkspaceRecord, *, created: bool, files: int, size_bytes: int, removed: int = 0
) -> PrepareResult:
    """What was done, for the client."""
    return {
        "guest_path": workspace.guest_path,
        "source": workspace.source,
        "commit": workspace.head,
        "branch": workspace.branch,
        "created": created,
        "files": files,
        "removed": removed,
        "size_bytes": size_bytes,
        "elapsed_s": 0.0,
    }
