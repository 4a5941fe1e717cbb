"""Fetch commits from a guest as branches of the user's repository."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

from banger.api.messages import BranchReview, FetchRequest, FetchResult
from banger.core.finishing import finish
from banger.core.layout import Layout
from banger.core.untrusted import printable
from banger.daemon.context import Request
from banger.daemon.journal import Journal, Step, nothing, shielded, write_nothing
from banger.daemon.operations.exporting import find_workspace
from banger.daemon.operations.guest_programs import GuestPrograms
from banger.daemon.operations.patch_views import look_at_patch, view_findings
from banger.daemon.supervisor import Supervisor
from banger.store.records import OpenOperation, VmRecord
from banger.workspace.choice import ANYTHING
from banger.workspace.fetched_patch import FetchedPatch, make_patch
from banger.workspace.fetching import Quarantine, check_have, fetch_quarantined, release
from banger.workspace.repository import inspect_repository

# In one answer, which is bounded.
REVIEWED_BRANCHES: Final = 5
LISTED_FINDINGS: Final = 5  # paths of each

Act = Callable[[], Awaitable[None]]


class FetchCommits:
    """The operation `fetch`. Rolls back until the branches are set, which happens to all of them at once.

    Objects that were added before that belong to no branch: the user's git removes them in time.
    """

    kind: Final = "fetch"

    def __init__(self, *, layout: Layout, journal: Journal, supervisor: Supervisor) -> None:
        self._layout = layout
        self._journal = journal
        self._supervisor = supervisor

    async def __call__(self, request: Request, record: VmRecord, asked: FetchRequest) -> FetchResult:
        """Fetch all branches that have new commits. Raises as `fetch_quarantined`."""
        workspace = find_workspace(record, asked["guest_path"], asked.get("near"))
        channel = self._supervisor.channel(record.id, record.name)
        repository = await inspect_repository(Path(workspace.source), ANYTHING)
        operation_id = f"{request.operation}.{self.kind}.{record.id[:8]}"
        directory = self._layout.applies / operation_id
        quarantine: Quarantine | None = None
        reviews: dict[str, BranchReview] = {}

        async def collect() -> None:
            nonlocal quarantine
            request.report({"event": "stage", "stage": "fetch", "text": "collecting the commits", "state": "begin"})
            quarantine = await fetch_quarantined(
                GuestPrograms(channel),
                guest_path=workspace.guest_path,
                vm=record.name,
                repository=repository,
                have=check_have((repository.head, workspace.head)),
                directory=directory,
                force=asked["force"],
            )
            for branch in [one for one in quarantine.branches if one.state != "unchanged"][:REVIEWED_BRANCHES]:
                patch = await make_patch(quarantine, branch, since=workspace.head)
                if patch is not None:
                    reviews[branch.name] = await asyncio.to_thread(_review, patch, repository.top)
            request.report({"event": "stage", "stage": "fetch", "text": "the commits were checked", "state": "end"})

        async def set_branches() -> None:
            assert quarantine is not None
            await shielded(release(repository, quarantine))

        await self._journal.roll_back_on_failure(
            kind=self.kind,
            operation_id=operation_id,
            vm_id=record.id,
            begin=write_nothing,
            steps=self.steps(directory, collect, set_branches),
            finish=write_nothing,
            undone=write_nothing,
        )
        assert quarantine is not None
        return {
            "source": workspace.source,
            "branches": [
                {
                    "guest_branch": printable(branch.guest.name),
                    "branch": branch.name,
                    "commit": branch.guest.commit,
                    "commits": branch.commits,
                    "state": branch.state,
                    "review": reviews.get(branch.name),
                }
                for branch in quarantine.branches
            ],
        }

    async def settle(self, operation: OpenOperation, _record: VmRecord | None) -> None:
        """Remove what a dead daemon had in quarantine; the VM may be gone."""
        await self._journal.undo_begun(operation, self.steps(self._layout.applies / operation.id, nothing, nothing))

    def steps(self, directory: Path, collect: Act, set_branches: Act) -> Sequence[Step]:
        """The steps; their undo needs the directory alone."""

        async def remove() -> None:
            await finish(asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True))

        return (
            Step("collect", collect, remove),
            Step("branches", set_branches, nothing),
            Step("tidy", remove, nothing),
        )


def _review(patch: FetchedPatch, source: Path) -> BranchReview:
    findings = look_at_patch(patch.path, patch.verdict, source)
    return {
        "file_count": len(patch.verdict.files),
        "additions": patch.verdict.additions,
        "deletions": patch.verdict.deletions,
        "findings": view_findings(findings, limit=LISTED_FINDINGS),
    }
