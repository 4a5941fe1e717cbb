"""How every operation on a workspace ends: what the guest was sent is written down beside the VM's row."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from banger.core.layout import VmLayout
from banger.daemon.journal import Step
from banger.daemon.manifest import put_manifest
from banger.store.records import VmRecord, WorkspaceRecord


def with_workspace(record: VmRecord, workspace: WorkspaceRecord) -> VmRecord:
    """The record with `workspace` added, in place of an earlier one at the same path."""
    others = tuple(other for other in record.workspaces if other.guest_path != workspace.guest_path)
    return replace(record, workspaces=(*others, workspace))


def plan_remembering(
    files: VmLayout, before: VmRecord, after: VmRecord, write_known: Callable[[], Awaitable[None]]
) -> Step:
    """The last step: `write_known` keeps what the guest has now, then the manifest says so. Its undo needs `before`."""

    async def remember() -> None:
        await write_known()
        await put_manifest(files, after)

    async def forget() -> None:
        await put_manifest(files, before)

    return Step("manifest", remember, forget)
