"""Packing files of the host into a tree stream. No symbolic link on the way to a file is followed."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from banger.core.errors import Failed, Invalid
from banger.core.untrusted import printable
from banger.guest.tree_stream import TREE_END, Kind, TreeRecord, encode_record, path_problem

CHUNK_SIZE: Final = 256 * 1024
_SECOND_NS: Final = 1_000_000_000

Report = Callable[[bytes, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFile:
    """A regular file below `root`, at `name` there. What is None is taken from the file itself."""

    path: bytes
    root: Path
    name: bytes
    mode: int | None = None
    mtime_ns: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryFile:
    """A regular file whose content is at hand."""

    path: bytes
    content: bytes
    mode: int = 0o644
    mtime_ns: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SymbolicLink:
    """A symbolic link, which is sent as it is, wherever it leads."""

    path: bytes
    target: bytes
    mtime_ns: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory:
    """A directory; it comes before what is in it."""

    path: bytes
    mode: int = 0o755
    mtime_ns: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class HardLink:
    """One more name for a file below the destination."""

    path: bytes
    target: bytes


PackEntry = HostFile | MemoryFile | SymbolicLink | HardLink | Directory


def pack_files(entries: Iterable[PackEntry], *, report: Report, end: bool = True) -> Iterator[bytes]:
    """The tree stream of `entries` in pieces of about 256 KiB, reading files as it goes.

    A file that is gone or is no longer a regular file is left out; one whose size changes while it is read is cut, or
    filled with zeros, to the size that was announced. Both are told to `report` with the path and what happened.
    Without `end` the stream can be continued with another one. Raises `Failed` for a file that cannot be read,
    `Invalid` for a path that no tree can hold.
    """
    waiting: list[bytes] = []
    size = 0
    with closing(_Directories()) as directories:
        for entry in entries:
            for piece in _pack(entry, directories, report):
                waiting.append(piece)
                size += len(piece)
                if size >= CHUNK_SIZE:
                    yield b"".join(waiting)
                    waiting.clear()
                    size = 0
    if end:
        waiting.append(TREE_END)
    if waiting:
        yield b"".join(waiting)


async def iterate_in_thread(pieces: Iterator[bytes]) -> AsyncGenerator[bytes, None]:
    """Take from a blocking iterator in a thread, one piece ahead, so that reading and sending overlap.

    Close it when it is not taken to its end (`contextlib.aclosing`).
    """
    loop = asyncio.get_running_loop()
    coming = loop.run_in_executor(None, next, pieces, None)
    try:
        # Shielded: cancelling cannot stop the thread, which owns the iterator and its descriptors until it is done.
        while (piece := await asyncio.shield(coming)) is not None:
            coming = loop.run_in_executor(None, next, pieces, None)
            yield piece
    finally:
        await asyncio.wait((coming,))
        coming.exception()
        if isinstance(pieces, Generator):
            pieces.close()


def _pack(entry: PackEntry, directories: _Directories, report: Report) -> Iterator[bytes]:
    match entry:
        case HostFile():
            yield from _pack_host_file(entry, directories, report)
        case MemoryFile(path=path, content=content, mode=mode, mtime_ns=mtime_ns):
            yield _record("f", path, mode, mtime_ns, size=len(content))
            yield content
        case SymbolicLink(path=path, target=target, mtime_ns=mtime_ns):
            yield _record("l", path, 0o777, mtime_ns, target=target)
        case HardLink(path=path, target=target):
            yield _record("h", path, 0, 0, target=target)
        case Directory(path=path, mode=mode, mtime_ns=mtime_ns):
            yield _record("d", path, mode, mtime_ns)


def _record(kind: Kind, path: bytes, mode: int, mtime_ns: int, *, size: int = 0, target: bytes = b"") -> bytes:
    seconds, nanoseconds = divmod(mtime_ns, _SECOND_NS)
    return encode_record(
        TreeRecord(kind=kind, path=path, mode=mode, size=size, target=target, mtime_s=seconds, mtime_ns=nanoseconds)
    )


def _pack_host_file(entry: HostFile, directories: _Directories, report: Report) -> Iterator[bytes]:
    try:
        descriptor = directories.open_file(entry.root, entry.name)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO):
            raise _unreadable(entry, error) from error
        report(entry.path, "is no longer a regular file" if error.errno == errno.ELOOP else "is gone")
        return
    try:
        before = os.fstat(descriptor)
        if not stat.S_ISREG(before.st_mode):
            report(entry.path, "is no longer a regular file")
            return
        # Never setuid: who owns the file changes on the way.
        mode = stat.S_IMODE(before.st_mode) & 0o777 if entry.mode is None else entry.mode
        mtime_ns = before.st_mtime_ns if entry.mtime_ns is None else entry.mtime_ns
        yield _record("f", entry.path, mode, mtime_ns, size=before.st_size)
        left = before.st_size
        while left and (data := os.read(descriptor, min(left, CHUNK_SIZE))):
            left -= len(data)
            yield data
        while left:
            filling = bytes(min(left, CHUNK_SIZE))
            left -= len(filling)
            yield filling
        after = os.fstat(descriptor)
        if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
            report(entry.path, "changed while it was read")
    except OSError as error:
        raise _unreadable(entry, error) from error
    finally:
        os.close(descriptor)


def _unreadable(entry: HostFile, error: OSError) -> Failed:
    return Failed(
        f"{printable(entry.name, limit=200)} cannot be read: {error.strerror}",
        hint="fix its permissions, or leave it out",
    )


class _Directories:
    """Opens files name by name below a root, so that a symbolic link on the way is refused, not followed.

    Remembers the last directory: files mostly come directory by directory.
    """

    def __init__(self) -> None:
        self._place: tuple[Path, bytes] | None = None
        self._descriptor = -1

    def open_file(self, root: Path, name: bytes) -> int:
        """A descriptor of the file. Raises `OSError` as open(2) does; ELOOP or ENOTDIR for a link."""
        if problem := path_problem(name):
            raise Invalid(f"a tree cannot hold {problem}")
        parent, _, base = name.rpartition(b"/")
        if self._place != (root, parent):
            self.close()
            self._descriptor = open_directory(root, parent)
            self._place = (root, parent)
        return os.open(base, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=self._descriptor)

    def close(self) -> None:
        self._place = None
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def open_directory(root: Path, name: bytes) -> int:
    """A descriptor (O_PATH) of a directory below `root`, to which no symbolic link leads. Raises `OSError`."""
    flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
    current = os.open(root, flags)
    for component in name.split(b"/") if name else ():
        try:
            below = os.open(component, flags | os.O_NOFOLLOW, dir_fd=current)
        finally:
            os.close(current)
        current = below
    return current
