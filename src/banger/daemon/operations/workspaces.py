"""What was done in a workspace: told, reviewed, and brought into the repository that it was copied from."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from banger.api.messages import (
    ApplyRequest,
    ApplyResult,
    ChangedFile,
    FindingView,
    ReviewRequest,
    ReviewResult,
    WorkspaceStatus,
    WorkspaceStatusRequest,
)
from banger.core.clock import Clock
from banger.core.errors import BangerError, Invalid, NotFound
from banger.core.files import make_private_directory, sync_directory
from banger.core.layout import Layout
from banger.core.untrusted import printable
from banger.daemon.context import Request
from banger.daemon.operations.applying import ApplyPatch, Change
from banger.daemon.operations.exporting import LISTED_PATH_LIMIT, ExportWorkspace, find_workspace
from banger.daemon.operations.guest_programs import GuestPrograms
from banger.daemon.supervisor import Supervisor
from banger.store.records import VmRecord, WorkspaceRecord
from banger.workspace.applying import SavedPatch
from banger.workspace.export import ExportedPatch
from banger.workspace.guest_state import read_guest_state
from banger.workspace.host_state import read_host_state
from banger.workspace.patch_parts import pick_files
from banger.workspace.review import Finding, review_patch
from banger.workspace.verdict import PatchedFile, judge_patch

LISTED_FILES: Final = 200
LISTED_FINDINGS: Final = 20  # paths of each
KEPT_PATCHES: Final = 100
KEPT_BYTES: Final = 1 << 30
EARLIER_PATCHES: Final = 10
EARLIER_LIMIT_BYTES: Final = 64 << 20
_SAVED: Final = re.compile(r"[a-z0-9-]{1,120}\.patch")
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

    async def status(self, request: Request, record: VmRecord, asked: WorkspaceStatusRequest) -> WorkspaceStatus:
        """What was done in the guest, and on the host since the copy."""
        workspace = find_workspace(record, asked["guest_path"])
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
            "files": view_files(patch.verdict.files),
            "file_count": len(patch.verdict.files),
            "additions": patch.verdict.additions,
            "deletions": patch.verdict.deletions,
        }

    async def review(self, request: Request, record: VmRecord, asked: ReviewRequest) -> ReviewResult:
        """Save a patch, look at it, and try it. Whatever it is like, it stays saved once it was judged."""
        workspace = find_workspace(record, asked["guest_path"])
        make_private_directory(self._layout.exports)
        saved = self._layout.exports / name_patch(record.name, request.operation, now_s=self._clock.now_s())

        async def save(patch: ExportedPatch) -> None:
            await asyncio.to_thread(_save, patch.path, saved)

        exported = await self._export.collect(request, record, workspace, base=asked["base_commit"], use=save)
        await asyncio.to_thread(prune_patches, self._layout.exports)
        verdict = pick_files(exported.verdict, [os.fsencode(path) for path in asked["paths"]])
        patch = SavedPatch(saved, verdict)
        findings = await asyncio.to_thread(_review, patch, Path(workspace.source))
        pending = already = 0
        problem = None
        try:
            if verdict.files:
                change = await self._plan(workspace, patch, allow_dirty=asked["allow_dirty"], umask=_UMASK)
                prepared = await self._apply.check(request, record, change)
                pending, already = prepared.changed, prepared.already
        except BangerError as error:
            problem = error
        return {
            "saved": saved.name,
            "saved_path": str(saved),
            "size_bytes": exported.size_bytes,
            "base_commit": exported.base,
            "source": workspace.source,
            "files": view_files(verdict.files),
            "file_count": len(verdict.files),
            "additions": verdict.additions,
            "deletions": verdict.deletions,
            "findings": [view_finding(finding) for finding in findings],
            "pending": pending,
            "already": already,
            "problem": None
            if problem is None
            else {"kind": problem.kind, "summary": problem.summary, "hint": problem.hint},
        }

    async def apply(self, request: Request, record: VmRecord, asked: ApplyRequest) -> ApplyResult:
        """Apply a saved patch: judged again, because the file was on the disk meanwhile."""
        workspace = find_workspace(record, asked["guest_path"])
        if not 0 <= asked["umask"] <= 0o777:
            raise Invalid("that is no umask", hint="run `banger daemon restart` if banger was just updated")
        saved = await asyncio.to_thread(_read_saved, self._layout.exports, asked["saved"])
        verdict = pick_files(saved.verdict, [os.fsencode(path) for path in asked["paths"]])
        change = await self._plan(
            workspace, SavedPatch(saved.path, verdict), allow_dirty=asked["allow_dirty"], umask=asked["umask"]
        )
        prepared = await self._apply(request, record, change)
        return {"source": workspace.source, "changed": prepared.changed, "already": prepared.already}

    async def _plan(self, workspace: WorkspaceRecord, patch: SavedPatch, *, allow_dirty: bool, umask: int) -> Change:
        earlier = await asyncio.to_thread(lambda: list(_read_earlier(self._layout.exports, patch.path)))
        return Change(source=Path(workspace.source), patch=patch, earlier=earlier, allow_dirty=allow_dirty, umask=umask)


def name_patch(vm: str, operation: str, *, now_s: float) -> str:
    """The name of a saved patch: of which VM, when, by which operation."""
    when = time.strftime("%Y%m%dt%H%M%Sz", time.gmtime(now_s))
    return f"{vm}-{when}-{operation.removeprefix('op-')}.patch"


def prune_patches(directory: Path) -> None:
    """Remove the oldest saved patches beyond what is kept; blocking."""
    kept = kept_bytes = 0
    for path in _newest_first(directory):
        with suppress(OSError):
            kept += 1
            kept_bytes += path.stat().st_size
            if kept > KEPT_PATCHES or (kept_bytes > KEPT_BYTES and kept > 1):
                path.unlink()


def view_files(files: Sequence[PatchedFile]) -> list[ChangedFile]:
    """The first files of a patch as clients see them."""
    return [
        {
            "path": printable(file.path, limit=LISTED_PATH_LIMIT),
            "change": file.change,
            "binary": file.binary,
            "old_mode": file.old_mode,
            "new_mode": file.new_mode,
            "additions": file.additions,
            "deletions": file.deletions,
        }
        for file in files[:LISTED_FILES]
    ]


def view_finding(finding: Finding) -> FindingView:
    """A finding as clients see it."""
    paths = [printable(path, limit=LISTED_PATH_LIMIT) for path in finding.paths[:LISTED_FINDINGS]]
    return {"kind": finding.kind, "title": finding.title, "count": len(finding.paths), "paths": paths}


def _save(source: Path, target: Path) -> None:
    """Copy durably: the name is there when all of it is."""
    draft = target.with_name(f".{target.name}.draft")
    try:
        with source.open("rb") as old, draft.open("xb") as new:
            shutil.copyfileobj(old, new)
            new.flush()
            os.fsync(new.fileno())
        draft.rename(target)
    finally:
        draft.unlink(missing_ok=True)
    sync_directory(target.parent)


def _review(patch: SavedPatch, source: Path) -> tuple[Finding, ...]:
    try:
        places = {os.fsencode(entry.name) for entry in source.iterdir()}
    except OSError:
        places = set()
    with patch.path.open("rb") as file:
        return review_patch(file, patch.verdict, places=places)


def _read_saved(directory: Path, name: str) -> SavedPatch:
    path = directory / name
    if _SAVED.fullmatch(name) is None or not path.is_file():
        raise NotFound(f"there is no saved patch {ascii(name)[:100]}", hint="run `banger vm workspace apply` again")
    with path.open("rb") as patch:
        return SavedPatch(path, judge_patch(patch, size_bytes=os.fstat(patch.fileno()).st_size))


def _read_earlier(directory: Path, current: Path) -> Iterator[SavedPatch]:
    """Patches that were saved before; one that cannot be read is none."""
    older = [path for path in _newest_first(directory) if path != current]
    left_bytes = EARLIER_LIMIT_BYTES
    for path in older[:EARLIER_PATCHES]:
        with suppress(BangerError, OSError):
            left_bytes -= path.stat().st_size
            if left_bytes < 0:
                return
            yield _read_saved(directory, path.name)


def _newest_first(directory: Path) -> list[Path]:
    with suppress(OSError):
        found = [(path.stat().st_mtime_ns, path) for path in directory.iterdir() if _SAVED.fullmatch(path.name)]
        return [path for _, path in sorted(found, reverse=True)]
    return []
