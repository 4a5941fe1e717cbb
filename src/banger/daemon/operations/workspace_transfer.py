"""Sending the entries of a workspace over a channel, with progress."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import aclosing
from typing import Final

from banger.api.messages import StageEvent
from banger.core.untrusted import printable
from banger.daemon.context import Request
from banger.guest.channel import Channel, Place
from banger.guest.tree_pack import (
    Directory,
    HardLink,
    HostFile,
    MemoryFile,
    PackEntry,
    SymbolicLink,
    iterate_in_thread,
    pack_files,
)
from banger.workspace.packing import WorkspaceEntry

PROGRESS_STEP_BYTES: Final = 4 << 20


async def send_entries(
    request: Request,
    channel: Channel,
    destination: str,
    entries: Iterable[WorkspaceEntry],
    *,
    total_bytes: int,
    fresh: bool = False,
    place: Place | None = None,
) -> None:
    """Write entries below a directory of the guest, reporting progress."""
    loop = asyncio.get_running_loop()

    def changed(path: bytes, what: str) -> None:
        loop.call_soon_threadsafe(
            request.notice, f"{printable(path, limit=100)} {what}: it changed while it was copied"
        )

    def progressed(done: int) -> None:
        loop.call_soon_threadsafe(request.report, _progress(done, total_bytes))

    pieces = _counted(pack_files(map(_pack_entry, entries), report=changed), progressed)
    async with aclosing(iterate_in_thread(pieces)) as tree:
        await channel.put_tree(destination.encode(), tree, fresh=fresh, place=place)


async def write_to_disk(request: Request, channel: Channel) -> float:
    """Have the guest write what it was sent to its disk. Returns the seconds that it took."""
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
    if entry.kind == "name":
        return HardLink(path=entry.path, target=entry.content)
    if entry.kind == "memory":
        return MemoryFile(path=entry.path, content=entry.content, mode=entry.mode, mtime_ns=entry.mtime_ns)
    assert entry.root is not None
    return HostFile(path=entry.path, root=entry.root, name=entry.name, mode=entry.mode, mtime_ns=entry.mtime_ns)


def _counted(pieces: Iterator[bytes], progressed: Callable[[int], None]) -> Iterator[bytes]:
    """The same pieces; `progressed` gets the number of bytes so far now and then."""
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
