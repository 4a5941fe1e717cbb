"""Bring a workspace up to date with its repository."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final

from banger.api.messages import StageEvent
from banger.core.errors import BangerError, TimedOut
from banger.core.layout import Layout
from banger.core.untrusted import printable
from banger.daemon.context import Request
from banger.daemon.journal import Journal, Step, nothing, shielded, write_nothing
from banger.daemon.operations.guest_programs import GuestPrograms
from banger.daemon.operations.known_files import KnownFiles, name_operation
from banger.daemon.operations.remembering import plan_remembering, with_workspace
from banger.daemon.operations.workspace_transfer import send_entries, write_to_disk
from banger.guest.channel import Channel, Place
from banger.store.records import OpenOperation, VmRecord, WorkspaceRecord, put_workspace
from banger.workspace.repacking import PackedUpdate
from banger.workspace.survey import INCOMING, INCOMING_PARTIAL, apply, discard, finish

log = logging.getLogger(__name__)

APPLY_DEADLINE_S: Final = 60.0
APPLY_FILE_S: Final = 0.02  # for each file that is put in place or goes: many times what an emulated guest takes

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
        guest = _GuestHalf(request, channel, old.guest_path, packed)
        began_s = time.monotonic()
        event: StageEvent = {
            "event": "stage",
            "stage": "workspace",
            "text": f"bringing {packed.sent_count} files to {printable(old.guest_path)}",
            "state": "begin",
        }
        request.report(event)

        async def write_known() -> None:
            await self._known_files.write(record.id, old.guest_path, packed.known, durable=True)

        await self._journal.roll_back_on_failure(
            kind=self.kind,
            operation_id=name_operation(request, self.kind, record, old),
            vm_id=record.id,
            begin=write_nothing,
            steps=self.steps(
                record,
                with_workspace(record, workspace),
                stage=(guest.stage, guest.unstage),
                apply=lambda: shielded(guest.put_in_place()),
                sync=guest.sync,
                write_known=write_known,
            ),
            finish=lambda connection: put_workspace(connection, record.id, workspace),
            undone=write_nothing,
        )
        elapsed_s = time.monotonic() - began_s
        text = f"brought {packed.sent_count} files to {printable(old.guest_path)}"
        request.report({**event, "text": text, "state": "end", "elapsed_s": elapsed_s})
        log.info("%s: workspace brought up to date in %.3f s", record.name, elapsed_s)
        await self._known_files.tidy(record.id, workspace)
        return workspace

    async def settle(self, operation: OpenOperation, record: VmRecord) -> None:
        """Undo what a dead daemon began. What arrived in the guest stays there."""
        steps = self.steps(record, record, stage=(nothing, nothing), apply=nothing, sync=nothing, write_known=nothing)
        await self._journal.undo_begun(operation, steps)

    def steps(
        self, before: VmRecord, after: VmRecord, *, stage: tuple[Act, Act], apply: Act, sync: Act, write_known: Act
    ) -> Sequence[Step]:
        """The steps; their undo needs `before` alone."""
        return (
            Step("stage", *stage),
            Step("apply", apply, nothing),
            Step("sync", sync, nothing),
            plan_remembering(self._layout.vm(before.id), before, after, write_known),
        )


class _GuestHalf:
    """The part of an update that happens in the guest."""

    def __init__(self, request: Request, channel: Channel, guest_path: str, packed: PackedUpdate) -> None:
        self._request = request
        self._channel = channel
        self._programs = GuestPrograms(channel)
        self._guest_path = guest_path
        self._packed = packed

    async def stage(self) -> None:
        """Send it to a place that git does not look at."""
        await send_entries(
            self._request,
            self._channel,
            f"{self._guest_path}/.git",
            self._packed.staged,
            total_bytes=self._packed.sent_bytes,
            place=Place(partial=INCOMING_PARTIAL, final=INCOMING, replace=True),
        )

    async def unstage(self) -> None:
        """Undo `stage`. If the guest does not answer, the next update does it."""
        with suppress(BangerError):
            await discard(self._programs, guest_path=self._guest_path)

    async def put_in_place(self) -> None:
        """Move what was staged into place. Raises `TimedOut`."""
        packed = self._packed
        deadline_s = APPLY_DEADLINE_S + APPLY_FILE_S * (packed.sent_count + packed.removed_count)
        try:
            async with asyncio.timeout(deadline_s):
                await apply(
                    self._programs,
                    guest_path=self._guest_path,
                    base=packed.base,
                    head=packed.head,
                    branch=packed.branch,
                    index_tree=packed.index_tree,
                )
                await send_entries(self._request, self._channel, self._guest_path, packed.placed, total_bytes=0)
                await finish(self._programs, guest_path=self._guest_path)
        except TimeoutError as error:
            raise TimedOut(
                f"the guest did not put the files in place within {deadline_s:.0f} s",
                hint="is its disk slow or full? `banger vm logs` may say; then try again",
            ) from error

    async def sync(self) -> None:
        """Have everything written to the guest's disk."""
        await write_to_disk(self._request, self._channel)
