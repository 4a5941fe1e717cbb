"""A packed repository into a guest."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Final

from banger.api.messages import StageEvent
from banger.core.layout import Layout
from banger.core.untrusted import printable
from banger.daemon.context import Request
from banger.daemon.journal import Journal, Step, nothing
from banger.daemon.manifest import write_manifest
from banger.guest.channel import Channel
from banger.guest.tree_pack import (
    Directory,
    HostFile,
    MemoryFile,
    PackEntry,
    SymbolicLink,
    iterate_in_thread,
    pack_files,
)
from banger.store.records import OpenOperation, VmRecord, WorkspaceRecord, put_workspace
from banger.workspace.packing import PackedWorkspace, WorkspaceEntry

log = logging.getLogger(__name__)

PROGRESS_STEP_BYTES: Final = 4 << 20

Act = Callable[[], Awaitable[None]]


class ImportWorkspace:
    """The operation `import`. Rolls back: a workspace is remembered when the guest has all of it."""

    kind: Final = "import"

    def __init__(self, *, layout: Layout, journal: Journal) -> None:
        self._layout = layout
        self._journal = journal

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

        With `durable` it survives a VMM that is killed at once, which costs the time of the guest's disk.
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
        others = tuple(other for other in record.workspaces if other.guest_path != workspace.guest_path)

        async def transfer() -> None:
            await _send(request, channel, packed)

        async def sync() -> None:
            nonlocal writing_s
            writing_s = await _write(request, channel)
            log.info("%s: workspace written to the guest's disk in %.3f s", record.name, writing_s)

        await self._journal.roll_back_on_failure(
            kind=self.kind,
            operation_id=f"{request.operation}.{self.kind}.{record.id[:8]}",
            vm_id=record.id,
            begin=lambda _connection: None,
            steps=self.steps(
                record, replace(record, workspaces=(*others, workspace)), transfer, sync if durable else None
            ),
            finish=lambda connection: put_workspace(connection, record.id, workspace),
            undone=lambda _connection: None,
        )
        elapsed_s = time.monotonic() - began_s
        log.info("%s: workspace copied in %.3f s", record.name, elapsed_s - writing_s)
        text = f"copied {packed.file_count} files to {packed.guest_path}"
        request.report({"event": "stage", "stage": "workspace", "text": text, "state": "end", "elapsed_s": elapsed_s})
        return workspace

    async def settle(self, operation: OpenOperation, record: VmRecord) -> None:
        """Take back what a dead daemon began: what the guest has of it is the guest's."""
        await self._journal.undo(
            operation.id,
            [step for step in self.steps(record, record, nothing, nothing) if step.name in operation.steps],
            lambda _connection: None,
            reason="the daemon died",
        )

    def steps(self, before: VmRecord, after: VmRecord, transfer: Act, sync: Act | None) -> Sequence[Step]:
        """The steps; their undo needs `before` alone. `sync` is None for a VM that nobody will start again."""
        files = self._layout.vm(before.id)

        async def remember() -> None:
            write_manifest(files, after)

        async def forget() -> None:
            write_manifest(files, before)

        written = (Step("sync", sync, nothing),) if sync is not None else ()
        return (Step("transfer", transfer, nothing), *written, Step("manifest", remember, forget))


async def _send(request: Request, channel: Channel, packed: PackedWorkspace) -> None:
    loop = asyncio.get_running_loop()

    def changed(path: bytes, what: str) -> None:
        loop.call_soon_threadsafe(
            request.notice, f"{printable(path, limit=100)} {what}: it changed while it was copied"
        )

    def progressed(done: int) -> None:
        loop.call_soon_threadsafe(request.report, _progress(done, packed.total_bytes))

    pieces = _counted(pack_files(map(_pack_entry, packed.entries), report=changed), progressed)
    async with aclosing(iterate_in_thread(pieces)) as tree:
        await channel.put_tree(packed.guest_path.encode(), tree, fresh=True)


async def _write(request: Request, channel: Channel) -> float:
    """Have the guest write what it was sent to its disk; the seconds that it took."""
    began_s = time.monotonic()
    event: StageEvent = {
        "event": "stage",
        "stage": "workspace disk",
        "text": "writing the files to the guest's disk",
        "state": "begin",
        "detail": True,
    }
    request.report(event)
    await channel.sync()
    elapsed_s = time.monotonic() - began_s
    request.report({**event, "state": "end", "elapsed_s": elapsed_s})
    return elapsed_s


def _pack_entry(entry: WorkspaceEntry) -> PackEntry:
    if entry.kind == "directory":
        return Directory(path=entry.path, mode=entry.mode, mtime_ns=entry.mtime_ns)
    if entry.kind == "link":
        return SymbolicLink(path=entry.path, target=entry.content, mtime_ns=entry.mtime_ns)
    if entry.kind == "memory":
        return MemoryFile(path=entry.path, content=entry.content, mode=entry.mode, mtime_ns=entry.mtime_ns)
    assert entry.root is not None
    return HostFile(path=entry.path, root=entry.root, name=entry.name, mode=entry.mode, mtime_ns=entry.mtime_ns)


def _counted(pieces: Iterator[bytes], progressed: Callable[[int], None]) -> Iterator[bytes]:
    """The same pieces; `progressed` is told the bytes so far now and then."""
    done = told = 0
    for piece in pieces:
        done += len(piece)
        if done - told >= PROGRESS_STEP_BYTES:
            told = done
            progressed(done)
        yield piece


def _progress(done: int, total: int) -> StageEvent:
    return {
        "event": "stage",
        "stage": "workspace",
        "text": "copying files",
        "state": "progress",
        "done": min(done, total),
        "total": total,
        "unit": "bytes",
    }
