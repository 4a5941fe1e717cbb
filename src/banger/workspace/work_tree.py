"""Files of a work tree, reached name by name so that no symbolic link on the way is ever followed."""

from __future__ import annotations

import os
import stat
from types import TracebackType
from typing import Final, NamedTuple

_DIRECTORY: Final = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Stamp(NamedTuple):
    """What identifies a file as the one that was seen before."""

    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int


class Seen(NamedTuple):
    """A regular file or a symbolic link (then with its target) as it was found."""

    stamp: Stamp
    executable: bool
    target: bytes | None


class WorkTree:
    """Looks at files below one directory. Remembers the last directory: files mostly come directory by directory."""

    def __init__(self, top: os.PathLike[str]) -> None:
        self._top = os.open(top, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self._below: list[tuple[bytes, int]] = []

    def __enter__(self) -> WorkTree:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave(0)
        os.close(self._top)

    def look(self, path: bytes) -> Seen | None:
        """The file at `path`, or None if it is missing, of another type, or behind a symbolic link."""
        *parents, name = path.split(b"/")
        try:
            directory = self._enter(parents)
            status = os.stat(name, dir_fd=directory, follow_symlinks=False)
            stamp = Stamp(status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
            if stat.S_ISLNK(status.st_mode):
                return Seen(stamp, executable=False, target=os.readlink(name, dir_fd=directory))
        except OSError:
            return None
        executable = bool(status.st_mode & 0o100)
        return Seen(stamp, executable=executable, target=None) if stat.S_ISREG(status.st_mode) else None

    def read(self, path: bytes, *, limit_bytes: int) -> bytes | None:
        """The content of the regular file at `path`; None when `look` would not find one, or it is larger."""
        *parents, name = path.split(b"/")
        try:
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            descriptor = os.open(name, flags, dir_fd=self._enter(parents))
        except OSError:
            return None
        found = _read_regular(descriptor, limit_bytes=limit_bytes)
        return None if found is None else found[0]

    def _enter(self, parents: list[bytes]) -> int:
        common = 0
        while common < min(len(parents), len(self._below)) and self._below[common][0] == parents[common]:
            common += 1
        self._leave(common)
        for name in parents[common:]:
            self._below.append((name, os.open(name, _DIRECTORY, dir_fd=self._descriptor())))
        return self._descriptor()

    def _descriptor(self) -> int:
        return self._below[-1][1] if self._below else self._top

    def _leave(self, depth: int) -> None:
        while len(self._below) > depth:
            os.close(self._below.pop()[1])


def read_below(directory: os.PathLike[str], path: bytes, *, limit_bytes: int) -> bytes | None:
    """The content of a regular file below a directory, reached through no symbolic link; None when there is none."""
    with WorkTree(directory) as tree:
        return tree.read(path, limit_bytes=limit_bytes)


def read_small_file(path: os.PathLike[str], *, limit_bytes: int) -> tuple[bytes, int] | None:
    """Content and modification time (ns) of a regular file; None when there is none, or a larger one."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    return _read_regular(descriptor, limit_bytes=limit_bytes)


def _read_regular(descriptor: int, *, limit_bytes: int) -> tuple[bytes, int] | None:
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return None
        content = file.read(limit_bytes + 1)
        return (content, status.st_mtime_ns) if len(content) <= limit_bytes else None
