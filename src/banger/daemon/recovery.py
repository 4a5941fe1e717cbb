"""Opening the database, and restoring it if it was lost or damaged.

A damaged database is set aside, never deleted, and a new one takes its place. Then, and whenever else a VM's directory
has no row, the row is made again from the directory's manifest: rows go last when a VM is deleted, so a directory
without one means that the row was lost. A directory without a readable manifest stays where it is.

A row can also be older than it looks, when the log with the last commits was lost. So a VM that its row calls half
made, or bound to a request, is kept when its manifest says that it had become somebody's.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

from banger.core.layout import Layout
from banger.core.vm import State
from banger.daemon.manifest import put_manifest_again, read_manifest, same_manifest
from banger.store.connection import Connection, Database, set_aside
from banger.store.faults import Damaged
from banger.store.records import (
    VmRecord,
    end_operation,
    insert_vm,
    list_open_operations,
    list_vms,
    put_workspace,
    set_ephemeral,
    set_state,
)

log = logging.getLogger(__name__)

MAKING: Final = ("create",)
RESTORED: Final = "its row was lost and made again from its manifest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """What had to be done. `aside` is the damaged database's new path; `lost` are directories without a manifest."""

    aside: Path | None
    reason: str
    restored: tuple[str, ...]
    lost: tuple[Path, ...]

    @property
    def notice(self) -> str:
        """What the user is told once; empty when nothing happened."""
        if self.aside is None and not self.restored:
            return ""
        parts = []
        if self.aside is not None:
            parts.append(f"the database was damaged ({self.reason}) and is kept as {self.aside}")
        if self.restored:
            parts.append("made again from what is on disk: " + ", ".join(self.restored))
        if self.aside is not None and self.lost:
            parts.append("left as they are, without a readable manifest: " + ", ".join(map(str, self.lost)))
        return "; ".join(parts)


async def open_database(layout: Layout) -> tuple[Database, Recovery]:
    """Open the database, or a new one in the place of a damaged one, with a row for each VM whose manifest is there.

    Raises what `Database.open` raises, but for `Damaged` only when a new database is damaged too.
    """
    database = Database(layout.database)
    aside: Path | None = None
    reason = ""
    try:
        if not layout.database.exists():
            await asyncio.to_thread(set_aside, layout.database)  # a log that outlived it is not the next one's
        await database.open()
    except Damaged as damage:
        await database.close()
        reason = str(damage.__cause__ or damage.summary)
        aside = await asyncio.to_thread(set_aside, layout.database)
        log.error("%s; it is kept as %s", damage.summary, aside)
        database = Database(layout.database)
        await database.open()
    restored, lost = await _restore_rows(database, layout)
    return database, Recovery(aside=aside, reason=reason, restored=tuple(restored), lost=tuple(lost))


async def _restore_rows(database: Database, layout: Layout) -> tuple[list[str], list[Path]]:
    """Give every directory with a manifest a row. Returns the VMs that got one, and directories without a manifest."""
    half_made = {operation.vm_id for operation in await database.call(list_open_operations) if operation.kind in MAKING}
    for record in await database.call(list_vms):
        doomed = record.ephemeral or record.state is State.CREATING or record.id in half_made
        await _compare(database, layout, record, doomed=doomed)
    known = await database.call(list_vms)
    names = {record.name for record in known}
    ids = {record.id for record in known}
    restored: list[str] = []
    lost: list[Path] = []
    for directory in _directories(layout.vms):
        if directory.name in ids:
            continue
        found = read_manifest(layout.vm(directory.name).manifest)
        if found is None:
            lost.append(directory)
            log.warning("%s belongs to no VM and has no readable manifest; it stays as it is", directory)
            continue
        record = as_restored(found, taken=names, may_run=layout.vm(found.id).run.exists())
        await database.call(partial(_insert, record=record))
        names.add(record.name)
        restored.append(record.name)
        log.warning("the row of %s (%s) was lost and is made again", record.name, record.id)
    return restored, lost


async def _compare(database: Database, layout: Layout, record: VmRecord, *, doomed: bool) -> None:
    """Compare a row with its manifest: keep a VM that only the row would delete, update a manifest that is behind."""
    files = layout.vm(record.id)
    witness = read_manifest(files.manifest)
    if doomed and witness is not None and not witness.ephemeral:
        log.warning("%s is kept: its manifest says that it no longer belongs to a request", record.name)
        kept = as_restored(record, taken=set(), may_run=files.run.exists())
        await database.call(lambda connection: _keep(connection, kept))
    elif not doomed and files.state.is_dir() and (witness is None or not same_manifest(witness, record)):
        await put_manifest_again(files, record)


def _keep(connection: Connection, record: VmRecord) -> None:
    """Keep a row that was about to be deleted."""
    for operation in list_open_operations(connection):
        if operation.vm_id == record.id and operation.kind in MAKING:
            end_operation(connection, operation.id, state="done", ended_at_s=record.created_at_s)
    set_ephemeral(connection, record.id, ephemeral=False)
    set_state(connection, record.id, record.state, problem=record.problem)


def as_restored(record: VmRecord, *, taken: set[str], may_run: bool) -> VmRecord:
    """The row to make of a manifest. It belongs to no request any more, so only its user may delete it.

    Whether it runs is found out as for every VM that the last daemon left running.
    """
    name = record.name if record.name not in taken else f"{record.name[:54].rstrip('-')}-{record.id[:8]}"
    return replace(
        record,
        name=name,
        ephemeral=False,
        state=State.RUNNING if may_run else State.STOPPED,
        problem="" if may_run else RESTORED,
    )


def _insert(connection: Connection, record: VmRecord) -> None:
    insert_vm(connection, record)
    for workspace in record.workspaces:
        put_workspace(connection, record.id, workspace)
    set_state(connection, record.id, record.state, problem=record.problem)


def _directories(place: Path) -> Sequence[Path]:
    try:
        return sorted(entry for entry in place.iterdir() if entry.is_dir() and not entry.is_symlink())
    except FileNotFoundError:
        return []
