"""Whether a workspace in a guest is behind the repository that it was copied from."""

from __future__ import annotations

from pathlib import Path

from banger.core.errors import Invalid
from banger.core.untrusted import printable
from banger.daemon.context import Request
from banger.daemon.operations.known_files import KnownFiles
from banger.daemon.operations.preparing import PrepareWorkspace
from banger.store.records import VmRecord, WorkspaceRecord
from banger.workspace.staleness import read_moved


class UpToDate:
    """Reports that a workspace is behind, or brings it up to date."""

    def __init__(self, prepare: PrepareWorkspace, known_files: KnownFiles) -> None:
        self._prepare = prepare
        self._known_files = known_files

    async def tell(self, request: Request, record: VmRecord, workspace: WorkspaceRecord | None) -> None:
        """Report when the repository is at another commit than the one that was copied."""
        if workspace is None:
            return
        source = Path(workspace.source)
        head = await read_moved(source, workspace.head)
        if head is None:
            return
        known = await self._known_files.read(record.id, workspace)
        if known is not None and known.choice.start is not None:  # it was never at HEAD
            head = await read_moved(source, workspace.head, start=known.choice.start)
        if head is not None:
            then = f"made from {workspace.head[:12]}" if workspace.head else "made before its first commit"
            request.notice(
                f"{printable(workspace.source)} is at {head[:12]} now, and its copy in {record.name} was {then}:"
                " --auto-prepare brings it up to date"
            )

    async def bring(self, request: Request, record: VmRecord, workspace: WorkspaceRecord | None) -> None:
        """Bring the workspace up to date. Raises `WrongState` when work in the guest would be lost."""
        if workspace is None:
            raise Invalid(
                "there is no workspace where the command is to run, so none to bring up to date",
                hint=f"`banger vm workspace prepare {record.name}` puts a repository in",
            )
        await self._prepare(
            request, record, {"path": workspace.source, "guest_path": workspace.guest_path, "overwrite": False}
        )
