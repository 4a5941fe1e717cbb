"""A workspace brought up to date with its repository."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final

from banger.core.errors import BangerError
from banger.core.layout import Layout
from banger.daemon.context import Request
from banger.daemon.journal import Journal, Step, nothing, shielded
from banger.daemon.manifest import write_manifest
from banger.daemon.operations.guest_programs import GuestPrograms
from banger.daemon.operations.known_files import KnownFiles, name_operation
from banger.daemon.operations.workspace_transfer import send_entries, write_to_disk
from banger.guest.channel import Channel, Place
from banger.store.records import OpenOperation, VmRecord, WorkspaceRecord, put_workspace
from banger.workspace.repacking import PackedUpdate
from banger.workspace.survey import INCOMING, INCOMING_PARTIAL, apply, discard

log = logging.getLogger(__name__)

APPLY_DEADLINE_S: Final = 60.0

Act = Callable[[], Awaitable[None]]


class UpdateWorkspace:
    """The operation `update`. Rolls back until everything is in the guest; what is put in place then is put whole.

    When it fails after that, the guest is newer than what is remembered of it: the next update finds that what it would
    do is done.
    """

    kind: Final = "update"

    def __init__(self, *, layout: Layout, journal: Journal, known_files: KnownFiles) -> None:
        self._layout = layout
        self._journal = journal
        self._known_files = known_files

    async def __call__(
        self, request: Request, record: VmRecord, channel: Channel, old: WorkspaceRecord, packed: PackedUpdate
    ) -> WorkspaceRecord:
        """Send what changed, put it in place, remember it. The caller holds the VM's lock."""
        workspace = replace(old, head=packed.head, branch=packed.branch, base=packed.base)
        others = tuple(other for other in record.workspaces if other.guest_path != old.guest_path)
        guest = GuestPrograms(channel)
        git_directory = f"{old.guest_path}/.git"

        async def stage() -> None:
            place = Place(partial=INCOMING_PARTIAL, final=INCOMING, replace=True)
            await send_entries(
                request, channel, git_directory, packed.staged, total_bytes=packed.sent_bytes, place=place
            )

        async def unstage() -> None:
            with suppress(BangerError):  # a guest that does not answer has it removed when it is looked at again
                await discard(guest, guest_path=old.guest_path)

        async def put_in_place() -> None:
            async with asyncio.timeout(APPLY_DEADLINE_S):
                await apply(guest, guest_path=old.guest_path, base=packed.base, head=packed.head, branch=packed.branch)
                await send_entries(request, channel, old.guest_path, packed.placed, total_bytes=0)
                await discard(guest, guest_path=old.guest_path)

        async def sync() -> None:
            await write_to_disk(request, channel)

        async def know() -> None:
            await self._known_files.write(record.id, old.guest_path, packed.known, durable=True)

        await self._journal.roll_back_on_failure(
            kind=self.kind,
            operation_id=name_operation(request, self.kind, record, old),
            vm_id=record.id,
            begin=lambda _connection: None,
            steps=self.steps(
                record,
                replace(record, workspaces=(*others, workspace)),
                stage=(stage, unstage),
                apply=lambda: shielded(put_in_place()),
                sync=sync,
                know=know,
            ),
            finish=lambda connection: put_workspace(connection, record.id, workspace),
            undone=lambda _connection: None,
        )
        await self._known_files.tidy(record.id, workspace)
        return workspace

    async def settle(self, operation: OpenOperation, record: VmRecord) -> None:
        """Take back what a dead daemon began: what the guest has of it is the guest's."""
        steps = self.steps(record, record, stage=(nothing, nothing), apply=nothing, sync=nothing, know=nothing)
        await self._journal.undo(
            operation.id,
            [step for step in steps if step.name in operation.steps],
            lambda _connection: None,
            reason="the daemon died",
        )

    def steps(
        self, before: VmRecord, after: VmRecord, *, stage: tuple[Act, Act], apply: Act, sync: Act, know: Act
    ) -> Sequence[Step]:
        """The steps; their undo needs `before` alone."""
        files = self._layout.vm(before.id)

        async def remember() -> None:
            await know()
            write_manifest(files, after)

        async def forget() -> None:
            write_manifest(files, before)

        return (
            Step("stage", *stage),
            Step("apply", apply, nothing),
            Step("sync", sync, nothing),
            Step("manifest", remember, forget),
        )
