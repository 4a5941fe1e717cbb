"""Make a VM: its row, its directory, its keys, its data disk. Nothing runs yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from banger.core.files import make_private_directory
from banger.core.layout import Layout
from banger.core.vm import State
from banger.daemon.collaborators import DataDisks
from banger.daemon.context import Request
from banger.daemon.journal import Journal, Step, nothing
from banger.daemon.manifest import put_manifest, put_manifest_again
from banger.daemon.operations.refusing import refusing
from banger.daemon.operations.teardown import Teardown
from banger.guest.ssh import make_host_key
from banger.store.connection import Connection
from banger.store.records import OpenOperation, VmRecord, delete_vm, insert_vm, set_state

KIND = "create"


class CreateVm:
    """The operation `create`. Rolls back."""

    kind: Final = KIND

    def __init__(self, *, layout: Layout, journal: Journal, teardown: Teardown, disks: DataDisks) -> None:
        self._layout = layout
        self._journal = journal
        self._teardown = teardown
        self._disks = disks

    async def __call__(self, request: Request, record: VmRecord, *, disk: Path | None = None) -> None:
        """Create `record`. Raises `AlreadyExists` when the name is taken; nothing exists then.

        Its data disk is empty, or a copy of `disk`, which belongs to a VM that does not run.
        """

        def begin(connection: Connection) -> None:
            with refusing():  # somebody else may have been quicker
                insert_vm(connection, record)

        await self._journal.roll_back_on_failure(
            kind=KIND,
            operation_id=f"{request.operation}.{KIND}",
            vm_id=record.id,
            begin=begin,
            steps=self.steps(record, disk),
            finish=lambda connection: set_state(connection, record.id, State.STOPPED),
            undone=lambda connection: delete_vm(connection, record.id),
        )
        if not record.ephemeral:
            await put_manifest_again(self._layout.vm(record.id), record)

    async def settle(self, operation: OpenOperation, record: VmRecord) -> None:
        """Undo what a dead daemon began: nobody waits for this VM any more."""
        await self._journal.undo_begun(
            operation, self.steps(record), lambda connection: delete_vm(connection, record.id)
        )

    def steps(self, record: VmRecord, disk: Path | None = None) -> Sequence[Step]:
        """The steps, also for a later daemon that has to undo them."""
        files = self._layout.vm(record.id)

        async def make_directory() -> None:
            make_private_directory(files.state)
            # Until it is complete it belongs to this operation, which a later daemon undoes if this one dies.
            await put_manifest(files, replace(record, ephemeral=True))

        async def remove_directory() -> None:
            await self._teardown.remove_state_directory(record.id)

        async def make_keys() -> None:
            await make_host_key(files.host_key)

        async def make_disk() -> None:
            if disk is None:
                await self._disks.make(files.data_disk, record.spec.disk_bytes)
            else:
                await self._disks.copy(disk, files.data_disk)

        return (
            Step("directory", make_directory, remove_directory),
            Step("keys", make_keys, nothing),
            Step("disk", make_disk, nothing),
        )
