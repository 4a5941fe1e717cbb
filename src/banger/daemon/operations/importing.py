"""Put a packed repository into a guest."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

from banger.core.layout import Layout
from banger.daemon.context import Request
from banger.daemon.journal import Journal, Step, nothing, write_nothing
from banger.daemon.operations.known_files import KnownFiles, name_operation
from banger.daemon.operations.remembering import plan_remembering, with_workspace
from banger.daemon.operations.workspace_transfer import send_entries, write_to_disk
from banger.guest.channel import Channel
from banger.store.records import OpenOperation, VmRecord, WorkspaceRecord, put_workspace
from banger.workspace.packing import PackedWorkspace

log = logging.getLogger(__name__)

Act = Callable[[], Awaitable[None]]


class ImportWorkspace:
    """The operation `import`. Rolls back: a workspace is remembered when the guest has all of it."""

    kind: Final = "import"

    def __init__(self, *, layout: Layout, journal: Journal, known_files: KnownFiles) -> None:
        self._layout = layout
        self._journal = journal
        self._known_files = known_files

    async def __call__(
        self,
        request: Request,
        record: VmRecord,
        channel: Channel,
        packed: PackedWorkspace,
        source: Path,
        *,
        durable: bool,
    ) -> WorkspaceRecord:
        """Send a packed repository into the guest and remember it. The caller holds the VM's lock.

        With `durable` it survives if the VMM is killed right after, at the cost of a sync of the guest's disk.
        """
        began_s = time.monotonic()
        writing_s = 0.0
        text = f"copying {packed.file_count} files to {packed.guest_path}"
        request.report({"event": "stage", "stage": "workspace", "text": text, "state": "begin"})
        workspace = WorkspaceRecord(
            guest_path=packed.guest_path,
            source=str(source),
            head=packed.head,
            branch=packed.branch,
            base=packed.base,
        )

        async def transfer() -> None:
            await send_entries(
                request, channel, packed.guest_path, packed.entries, total_bytes=packed.total_bytes, fresh=True
            )

        async def sync() -> None:
            nonlocal writing_s
            writing_s = await write_to_disk(request, channel)
            log.info("%s: workspace written to the guest's disk in %.3f s", record.name, writing_s)

        async def write_known() -> None:
            await self._known_files.write(record.id, workspace.guest_path, packed.known, durable=durable)

        await self._journal.roll_back_on_failure(
            kind=self.kind,
            operation_id=name_operation(request, self.kind, record, workspace),
            vm_id=record.id,
            begin=write_nothing,
            steps=self.steps(
                record, with_workspace(record, workspace), transfer, sync if durable else None, write_known
            ),
            finish=lambda connection: put_workspace(connection, record.id, workspace),
            undone=write_nothing,
        )
        elapsed_s = time.monotonic() - began_s
        log.info("%s: workspace copied in %.3f s", record.name, elapsed_s - writing_s)
        text = f"copied {packed.file_count} files to {packed.guest_path}"
        request.report({"event": "stage", "stage": "workspace", "text": text, "state": "end", "elapsed_s": elapsed_s})
        return workspace

    async def settle(self, operation: OpenOperation, record: VmRecord) -> None:
        """Undo what a dead daemon began. What arrived in the guest stays there."""
        await self._journal.undo_begun(operation, self.steps(record, record, nothing, nothing, nothing))

    def steps(
        self, before: VmRecord, after: VmRecord, transfer: Act, sync: Act | None, write_known: Act
    ) -> Sequence[Step]:
        """The steps; their undo needs `before` alone. `sync` is None for a VM that nobody will start again."""
        written = (Step("sync", sync, nothing),) if sync is not None else ()
        remembered = plan_remembering(self._layout.vm(before.id), before, after, write_known)
        return (Step("transfer", transfer, nothing), *written, remembered)
