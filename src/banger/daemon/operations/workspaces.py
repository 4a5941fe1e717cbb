"""A repository into a guest, and the edits out of it."""

from __future__ import annotations

import asyncio
import logging
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Final

from banger.api.messages import ExportRequest, ExportResult, StageEvent
from banger.core.errors import Invalid, NotFound
from banger.core.files import make_private_directory
from banger.core.layout import Layout
from banger.core.untrusted import printable
from banger.daemon.context import Request
from banger.daemon.manifest import rewrite_manifest
from banger.daemon.operations.commands import GUEST_PATH
from banger.daemon.streams import StreamExchange
from banger.daemon.supervisor import Supervisor
from banger.guest.channel import Channel
from banger.guest.process import ExecRequest, GuestProcess
from banger.guest.tree_pack import (
    Directory,
    HostFile,
    MemoryFile,
    PackEntry,
    SymbolicLink,
    iterate_in_thread,
    pack_files,
)
from banger.store.connection import Database
from banger.store.records import VmRecord, WorkspaceRecord, put_workspace
from banger.workspace.export import Ended, ExportedPatch, export_patch
from banger.workspace.packing import PackedWorkspace, WorkspaceEntry, prepare
from banger.workspace.repository import Repository

log = logging.getLogger(__name__)

COPY_CHUNK_BYTES: Final = 1 << 18
PROGRESS_STEP_BYTES: Final = 4 << 20
STDERR_LIMIT_BYTES: Final = 4096
LISTED_FILES: Final = 50  # of a patch, by name, in the one frame that ends an export
LISTED_PATH_LIMIT: Final = 1000


class Workspaces:
    """Imports and exports."""

    def __init__(self, *, layout: Layout, database: Database, supervisor: Supervisor) -> None:
        self._layout = layout
        self._database = database
        self._supervisor = supervisor

    def scratch(self) -> tempfile.TemporaryDirectory[str]:
        """A directory for work files, removed when it is closed, or by the next daemon."""
        make_private_directory(self._layout.run / "scratch")
        return tempfile.TemporaryDirectory(dir=self._layout.run / "scratch", ignore_cleanup_errors=True)

    async def put(
        self, request: Request, record: VmRecord, channel: Channel, packed: PackedWorkspace, source: Path
    ) -> WorkspaceRecord:
        """Send a packed repository into the guest and remember it."""
        began_s = time.monotonic()
        text = f"copying {packed.file_count} files to {packed.guest_path}"
        request.report({"event": "stage", "stage": "workspace", "text": text, "state": "begin"})

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
        workspace = WorkspaceRecord(
            guest_path=packed.guest_path,
            source=str(source),
            head=packed.head,
            branch=packed.branch,
            base=packed.base,
        )
        await self._database.call(lambda connection: put_workspace(connection, record.id, workspace))
        others = tuple(other for other in record.workspaces if other.guest_path != workspace.guest_path)
        rewrite_manifest(self._layout.vm(record.id), replace(record, workspaces=(*others, workspace)))
        elapsed_s = time.monotonic() - began_s
        log.info("%s: workspace copied in %.3f s", record.name, elapsed_s)
        text = f"copied {packed.file_count} files to {packed.guest_path}"
        request.report({"event": "stage", "stage": "workspace", "text": text, "state": "end", "elapsed_s": elapsed_s})
        return workspace

    async def export(
        self, request: Request, record: VmRecord, asked: ExportRequest, exchange: StreamExchange
    ) -> ExportResult:
        """Make, judge and send a patch. Not a byte is sent before the whole of it was judged."""
        workspace = _find_workspace(record, asked["guest_path"])
        channel = self._supervisor.channel(record.id, record.name)
        request.report({"event": "stage", "stage": "export", "text": "collecting the changes", "state": "begin"})
        with self.scratch() as scratch:
            patch = await export_patch(
                _Guest(channel),
                guest_path=workspace.guest_path,
                base=asked["base_commit"] or workspace.base,
                spool=Path(scratch) / "patch",
            )
            view = view_patch(patch)
            request.report({"event": "stage", "stage": "export", "text": "the patch was judged", "state": "end"})
            with patch.path.open("rb") as file:
                while data := await asyncio.to_thread(file.read, COPY_CHUNK_BYTES):
                    await exchange.send_output(data)
            return view


class Packing:
    """A repository being packed while its VM boots. Leaving the block ends the work and removes its files."""

    def __init__(self, workspaces: Workspaces, repository: Repository | None) -> None:
        self._workspaces = workspaces
        self._repository = repository
        self._scratch: tempfile.TemporaryDirectory[str] | None = None
        self._task: asyncio.Task[PackedWorkspace] | None = None

    async def __aenter__(self) -> Packing:
        if self._repository is not None:
            self._scratch = self._workspaces.scratch()
            self._task = asyncio.create_task(prepare(self._repository, Path(self._scratch.name)))
        return self

    async def packed(self) -> PackedWorkspace:
        """The result, as soon as it is there. Raises what packing raised."""
        assert self._task is not None
        return await self._task

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))
            if not self._task.cancelled():
                self._task.exception()
        if self._scratch is not None:
            await asyncio.to_thread(self._scratch.cleanup)


@dataclass(slots=True)
class _Program:
    """A program in the guest, for an export."""

    process: GuestProcess
    stderr: bytearray = field(default_factory=bytearray)

    async def output(self) -> AsyncIterator[bytes]:
        while (chunk := await self.process.read()) is not None:
            if chunk.channel == 0:
                yield chunk.data
            elif len(self.stderr) < STDERR_LIMIT_BYTES:
                self.stderr += chunk.data

    async def ended(self) -> Ended:
        async for _ in self.output():
            pass
        status = await self.process.wait()
        return Ended(128 + (status.signal or 0) if status.code is None else status.code, bytes(self.stderr))


class _Guest:
    """Runs the programs of an export over a channel."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    @asynccontextmanager
    async def program(
        self, argv: Sequence[str], *, cwd: str, environment: Mapping[str, str]
    ) -> AsyncIterator[_Program]:
        request = ExecRequest(
            argv=argv, environment={"PATH": GUEST_PATH, "HOME": "/root", **environment}, cwd=cwd, user=None
        )
        async with self._channel.exec(request) as process:
            yield _Program(process)


def _find_workspace(record: VmRecord, guest_path: str | None) -> WorkspaceRecord:
    for workspace in record.workspaces:
        if guest_path in (None, workspace.guest_path):
            return workspace
    if guest_path is not None:
        raise NotFound(
            f"{record.name} has no workspace at {printable(guest_path, limit=200)}",
            hint=f"`banger vm show {record.name}` lists its workspaces",
        )
    raise Invalid(f"{record.name} has no workspace", hint="make the VM with `banger vm run` inside a git repository")


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


def view_patch(patch: ExportedPatch) -> ExportResult:
    """A patch as clients see it: a bounded answer, whatever the guest did."""
    files = patch.verdict.files
    return {
        "files": [
            {"path": printable(file.path, limit=LISTED_PATH_LIMIT), "change": file.change, "binary": file.binary}
            for file in files[:LISTED_FILES]
        ],
        "file_count": len(files),
        "additions": patch.verdict.additions,
        "deletions": patch.verdict.deletions,
        "size_bytes": patch.size_bytes,
        "base_commit": patch.base,
    }
