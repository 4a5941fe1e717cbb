"""What was done in a workspace: its status, its review, and applying it to the repository it was copied from."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from banger.api.messages import (
    ApplyRequest,
    ApplyResult,
    ReviewRequest,
    ReviewResult,
    WorkspaceStatus,
    WorkspaceStatusRequest,
)
from banger.core.clock import Clock
from banger.core.errors import BangerError, Invalid
from banger.core.layout import Layout
from banger.core.untrusted import printable
from banger.daemon.context import Request
from banger.daemon.operations.applying import ApplyPatch, Change
from banger.daemon.operations.exporting import ExportWorkspace, find_workspace
from banger.daemon.operations.guest_programs import GuestPrograms
from banger.daemon.operations.patch_views import LISTED_PATH_LIMIT, look_at_patch, view_files, view_findings
from banger.daemon.operations.saved_patches import Origin, SavedPatches, name_patch
from banger.daemon.supervisor import Supervisor
from banger.store.records import VmRecord, WorkspaceRecord
from banger.workspace.applying import Prepared, SavedPatch
from banger.workspace.export import ExportedPatch
from banger.workspace.guest_state import read_guest_state
from banger.workspace.host_state import read_host_state
from banger.workspace.patch_parts import narrow, pick_files

LISTED_FILES: Final = 200
LISTED_FINDINGS: Final = 20  # paths of each
_UMASK: Final = 0o077  # of a trial, which makes no file


class Workspaces:
    """The use cases `status`, `review` and `apply`."""

    def __init__(
        self, *, layout: Layout, supervisor: Supervisor, export: ExportWorkspace, apply: ApplyPatch, clock: Clock
    ) -> None:
        self._layout = layout
        self._supervisor = supervisor
        self._export = export
        self._apply = apply
        self._clock = clock
        self._saved = SavedPatches(layout.exports)

    async def status(self, request: Request, record: VmRecord, asked: WorkspaceStatusRequest) -> WorkspaceStatus:
        """What was done in the guest, and on the host since the copy."""
        workspace = find_workspace(record, asked["guest_path"], asked.get("near"))
        channel = self._supervisor.channel(record.id, record.name)
        guest = await read_guest_state(GuestPrograms(channel), guest_path=workspace.guest_path, since=workspace.head)

        async def nothing_more(_patch: ExportedPatch) -> None:
            pass

        patch = await self._export.collect(request, record, workspace, base=asked["base_commit"], use=nothing_more)
        host = await read_host_state(Path(workspace.source), self._layout.scratch)
        return {
            "guest_path": workspace.guest_path,
            "source": printable(workspace.source),
            "base_commit": patch.base,
            "copied_head": workspace.head,
            "guest_head": guest.head,
            "guest_branch": guest.branch,
            "guest_commits": guest.commits,
            "host_head": host.head,
            "host_branch": host.branch and printable(host.branch),
            "host_changes": host.changes,
            "files": view_files(patch.verdict.files, limit=LISTED_FILES),
            "file_count": len(patch.verdict.files),
            "additions": patch.verdict.additions,
            "deletions": patch.verdict.deletions,
        }

    async def review(self, request: Request, record: VmRecord, asked: ReviewRequest) -> ReviewResult:
        """Save a patch, review it, and try it. It stays saved once it was judged, whatever comes of that."""
        workspace = find_workspace(record, asked["guest_path"], asked.get("near"))
        name = name_patch(record.name, request.operation, now_s=self._clock.now_s())

        async def save(patch: ExportedPatch) -> None:
            origin = Origin(vm=record.id, guest_path=workspace.guest_path, base=patch.base, applied=False)
            await asyncio.to_thread(self._saved.save, name, patch.path, origin)

        exported = await self._export.collect(request, record, workspace, base=asked["base_commit"], use=save)
        picked = [os.fsencode(path) for path in asked["paths"]]
        patch = SavedPatch(self._saved.path(name), pick_files(exported.verdict, picked))
        findings = await asyncio.to_thread(look_at_patch, patch.path, patch.verdict, Path(workspace.source))
        prepared = Prepared(None, 0, 0, ())
        problem = None
        try:
            change = await self._plan(workspace, name, patch, picked, allow_dirty=asked["allow_dirty"], umask=_UMASK)
            if patch.verdict.files or change.earlier:
                prepared = await self._apply.check(change)
        except BangerError as error:
            problem = error
        return {
            "saved": name,
            "saved_path": str(patch.path),
            "size_bytes": exported.size_bytes,
            "base_commit": exported.base,
            "source": workspace.source,
            "files": view_files(patch.verdict.files, limit=LISTED_FILES),
            "file_count": len(patch.verdict.files),
            "additions": patch.verdict.additions,
            "deletions": patch.verdict.deletions,
            "findings": view_findings(findings, limit=LISTED_FINDINGS),
            "pending": prepared.changed,
            "already": prepared.already,
            "reverted": [printable(path, limit=LISTED_PATH_LIMIT) for path in prepared.reverted[:LISTED_FILES]],
            "reverted_count": len(prepared.reverted),
            "problem": None
            if problem is None
            else {"kind": problem.kind, "summary": problem.summary, "hint": problem.hint},
        }

    async def apply(self, request: Request, record: VmRecord, asked: ApplyRequest) -> ApplyResult:
        """Apply a saved patch, after judging it again, because the file was on the disk meanwhile."""
        workspace = find_workspace(record, asked["guest_path"], asked.get("near"))
        if not 0 <= asked["umask"] <= 0o777:
            raise Invalid("that is not a umask", hint="run `banger daemon restart` if banger was just updated")
        name = asked["saved"]
        saved = await asyncio.to_thread(self._saved.read, name)
        picked = [os.fsencode(path) for path in asked["paths"]]
        patch = SavedPatch(saved.path, narrow(saved.verdict, picked))
        change = await self._plan(
            workspace, name, patch, picked, allow_dirty=asked["allow_dirty"], umask=asked["umask"]
        )
        # Before it is true: should this daemon die in the middle, what is in the tree decides anyway.
        await asyncio.to_thread(self._saved.mark_applied, name)
        prepared = await self._apply(request, record, change)
        return {"source": workspace.source, "changed": prepared.changed, "already": prepared.already}

    async def _plan(
        self,
        workspace: WorkspaceRecord,
        name: str,
        patch: SavedPatch,
        picked: Sequence[bytes],
        *,
        allow_dirty: bool,
        umask: int,
    ) -> Change:
        earlier = await asyncio.to_thread(self._saved.read_earlier, name)
        return Change(
            source=Path(workspace.source),
            patch=patch,
            earlier=[SavedPatch(one.path, narrow(one.verdict, picked)) for one in earlier],
            applied=earlier,
            allow_dirty=allow_dirty,
            umask=umask,
        )
