"""Export the edits in a guest as a patch."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

from banger.api.messages import ExportRequest, ExportResult
from banger.core.errors import Invalid, NotFound
from banger.core.files import make_private_directory
from banger.core.untrusted import printable
from banger.daemon.context import Request
from banger.daemon.journal import Journal, Step, nothing, write_nothing
from banger.daemon.operations.guest_programs import GuestPrograms
from banger.daemon.operations.patch_views import look_at_patch, view_files, view_findings
from banger.daemon.streams import StreamExchange
from banger.daemon.supervisor import Supervisor
from banger.store.records import OpenOperation, VmRecord, WorkspaceRecord
from banger.workspace.export import ExportedPatch, export_patch
from banger.workspace.review import Finding

COPY_CHUNK_BYTES: Final = 1 << 18
LISTED_FILES: Final = 50  # of a patch, by name, in the one frame that ends an export
LISTED_FINDINGS: Final = 5  # paths of each, there too

Act = Callable[[], Awaitable[None]]
Use = Callable[[ExportedPatch], Awaitable[None]]


class ExportWorkspace:
    """The operation `export`. Rolls back; all it makes is a spooled patch below `scratch`."""

    kind: Final = "export"

    def __init__(self, *, scratch: Path, journal: Journal, supervisor: Supervisor) -> None:
        self._scratch = scratch
        self._journal = journal
        self._supervisor = supervisor

    async def __call__(
        self, request: Request, record: VmRecord, asked: ExportRequest, exchange: StreamExchange
    ) -> ExportResult:
        """Make, judge and send a patch. Not a byte is sent before the whole of it was judged."""
        workspace = find_workspace(record, asked["guest_path"], asked.get("near"))
        findings: tuple[Finding, ...] = ()

        async def send(patch: ExportedPatch) -> None:
            nonlocal findings
            findings = await asyncio.to_thread(look_at_patch, patch.path, patch.verdict, Path(workspace.source))
            with patch.path.open("rb") as file:
                while data := await asyncio.to_thread(file.read, COPY_CHUNK_BYTES):
                    await exchange.send_output(data)

        patch = await self.collect(request, record, workspace, base=asked["base_commit"], use=send)
        return view_patch(patch, findings)

    async def collect(
        self, request: Request, record: VmRecord, workspace: WorkspaceRecord, *, base: str | None, use: Use
    ) -> ExportedPatch:
        """Make and judge a patch, and hand it to `use`; its file exists as long as `use` runs."""
        channel = self._supervisor.channel(record.id, record.name)
        operation_id = f"{request.operation}.{self.kind}.{record.id[:8]}"
        directory = self._scratch / operation_id
        patch: ExportedPatch | None = None

        async def collect() -> None:
            nonlocal patch
            request.report({"event": "stage", "stage": "export", "text": "collecting the changes", "state": "begin"})
            make_private_directory(directory)
            patch = await export_patch(
                GuestPrograms(channel),
                guest_path=workspace.guest_path,
                base=base or workspace.base,
                spool=directory / "patch",
            )
            request.report({"event": "stage", "stage": "export", "text": "the patch was judged", "state": "end"})

        async def send() -> None:
            assert patch is not None
            await use(patch)

        await self._journal.roll_back_on_failure(
            kind=self.kind,
            operation_id=operation_id,
            vm_id=record.id,
            begin=write_nothing,
            steps=self.steps(directory, collect, send),
            finish=write_nothing,
            undone=write_nothing,
        )
        assert patch is not None
        return patch

    async def settle(self, operation: OpenOperation, _record: VmRecord) -> None:
        """Remove what a dead daemon had spooled."""
        await self._journal.undo_begun(operation, self.steps(self._scratch / operation.id, nothing, nothing))

    def steps(self, directory: Path, collect: Act, send: Act) -> Sequence[Step]:
        """The steps; their undo needs the directory alone."""

        async def remove() -> None:
            await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)

        return (Step("collect", collect, remove), Step("send", send, nothing), Step("tidy", remove, nothing))


def find_workspace(record: VmRecord, guest_path: str | None, near: str | None = None) -> WorkspaceRecord:
    """The workspace at `guest_path`; without, the one that was copied from around `near`, else the first one.

    Raises `NotFound`, `Invalid`.
    """
    if guest_path is not None:
        for workspace in record.workspaces:
            if workspace.guest_path == guest_path:
                return workspace
        raise NotFound(
            f"{record.name} has no workspace at {printable(guest_path, limit=200)}",
            hint=f"`banger vm show {record.name}` lists its workspaces",
        )
    if not record.workspaces:
        hint = "make the VM with `banger vm run` inside a git repository"
        raise Invalid(f"{record.name} has no workspace", hint=hint)
    around = [one for one in record.workspaces if near is not None and Path(near).is_relative_to(one.source)]
    return max(around, key=lambda one: len(one.source)) if around else record.workspaces[0]


def view_patch(patch: ExportedPatch, findings: Sequence[Finding]) -> ExportResult:
    """A patch as clients see it: a bounded answer, whatever the guest did."""
    files = patch.verdict.files
    return {
        "files": view_files(files, limit=LISTED_FILES),
        "file_count": len(files),
        "additions": patch.verdict.additions,
        "deletions": patch.verdict.deletions,
        "findings": view_findings(findings, limit=LISTED_FINDINGS),
        "size_bytes": patch.size_bytes,
        "base_commit": patch.base,
    }
