"""Writing a guest's tree on the host. The tree is hostile; the target directory may be shared with others.

Everything happens through descriptors of directories, name by name, and nothing that exists is opened: everything is
written below one new entry with a temporary name, which gets its final name only when the tree is complete (see
`host_place`). Symbolic links are made last, so that none is on the way while anything is written.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from banger.core.errors import BangerError, Failed, Unavailable
from banger.core.untrusted import printable
from banger.guest.host_place import open_below
from banger.guest.tree_stream import NAME_LIMIT, MalformedTree, TreeCount, TreeRecord

DEPTH_LIMIT: Final = 128  # the agent's own
ENTRIES_LIMIT: Final = 1_000_000
LATE_LIMIT_BYTES: Final = 64 << 20  # of memory for links and for the times of directories
SPACE_STEP_BYTES: Final = 8 << 20
SPACE_STEP_ENTRIES: Final = 256
_LATE_BYTES: Final = 200
_TIME_LIMIT_S: Final = 1 << 33
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class _Late:
    """What is set when everything else is written: a link's target, or a directory's mode and time."""

    names: tuple[bytes, ...]
    target: bytes | None
    mode: int
    time_ns: int


# ---- decisions


def judge_record(record: TreeRecord) -> tuple[bytes, ...]:
    """The names of a record's path, outermost first; none for the single file that was asked for.

    Raises `MalformedTree` for what the host does not write. The file system judges the rest: a parent
    must exist and be a directory, a new entry must not exist.
    """
    if record.kind == "h":
        raise MalformedTree("a hard link, which agents do not send")
    names = tuple(record.path.split(b"/")) if record.path else ()
    if not names and record.kind != "f":
        raise MalformedTree("an entry without a name")
    if len(names) > DEPTH_LIMIT:
        raise MalformedTree(f"directories nested more than {DEPTH_LIMIT} deep")
    for name in names:
        if name in (b"", b".", b"..") or b"\0" in name or len(name) > NAME_LIMIT:
            raise MalformedTree(f"the path {printable(record.path, limit=200)}")
    return names


def file_mode(mode: int) -> int:
    """A file's mode without setuid, setgid and sticky, and never writable for others."""
    return mode & 0o755


def directory_mode(mode: int) -> int:
    """The same for a directory, which its owner may always list, change and enter."""
    return mode & 0o755 | 0o700


def host_time_ns(record: TreeRecord) -> int:
    """The time of a record, within what file systems can hold."""
    return min(max(record.mtime_s, 0), _TIME_LIMIT_S) * 1_000_000_000 + record.mtime_ns


# ---- acts


class HostTree:
    """Takes the records of one tree and writes it as `partial` in the directory `parent`, a descriptor of the caller's.

    `check_space` is called with the bytes that are about to be written, often enough, and raises to stop it all.
    After a failure what there is remains for `remove_tree`.
    """

    def __init__(self, parent: int, partial: bytes, *, check_space: Callable[[int], None]) -> None:
        self._parent = parent
        self._partial = partial
        self._check_space = check_space
        self._root = -1
        self._file = -1
        self._file_time_ns = 0
        self._place: tuple[bytes, ...] | None = None
        self._directory = -1
        self._late: list[_Late] = []
        self._late_bytes = 0
        self._unchecked = 0
        self._counts = {"f": 0, "d": 0, "l": 0}
        self.size_bytes = 0

    @property
    def count(self) -> TreeCount:
        return TreeCount(
            files=self._counts["f"],
            directories=self._counts["d"],
            links=self._counts["l"],
            size_bytes=self.size_bytes,
        )

    def take(self, event: TreeRecord | bytes) -> None:
        """The next record, or more content of the last one. Raises `MalformedTree`, `Failed`."""
        try:
            if isinstance(event, TreeRecord):
                self._begin(event)
            else:
                self._write(event)
        except OSError as error:
            raise _translate(error, event.path if isinstance(event, TreeRecord) else b"") from error

    def finish(self) -> None:
        """The tree is complete: make the links, and set modes that would have been in the way."""
        path = b""
        try:
            self._end_file()
            if self._root < 0 and not self._counts["f"]:
                self._make_root()
            for late in reversed(self._late):  # what is below comes first
                path = b"/".join(late.names)
                self._finish_late(late)
            if self._root >= 0:
                os.fchmod(self._root, 0o755)
        except OSError as error:
            raise _translate(error, path) from error

    def close(self) -> None:
        """Close what is open."""
        for descriptor in (self._file, self._directory, self._root):
            if descriptor >= 0:
                os.close(descriptor)
        self._file = self._directory = self._root = -1
        self._place = None

    def _begin(self, record: TreeRecord) -> None:
        names = judge_record(record)
        self._end_file()
        self._counts[record.kind] += 1
        if (entries := sum(self._counts.values())) > ENTRIES_LIMIT:
            raise MalformedTree(f"more than {ENTRIES_LIMIT} entries")
        if record.size or entries % SPACE_STEP_ENTRIES == 1:
            self._check_space(record.size)
        if names and self._root < 0:
            self._make_root()
        if record.kind == "f":
            parent, name = (self._open(names[:-1]), names[-1]) if names else (self._parent, self._partial)
            self._file = os.open(name, _NEW_FILE, 0o600, dir_fd=parent)
            os.fchmod(self._file, file_mode(record.mode))
            self._file_time_ns = host_time_ns(record)
        elif record.kind == "d":
            os.mkdir(names[-1], 0o700, dir_fd=self._open(names[:-1]))
            self._remember(_Late(names, None, directory_mode(record.mode), host_time_ns(record)))
        else:
            self._open(names[:-1])  # an entry without its directory is refused now
            self._remember(_Late(names, record.target, 0, host_time_ns(record)))

    def _write(self, data: bytes) -> None:
        self._unchecked += len(data)
        if self._unchecked >= SPACE_STEP_BYTES:
            self._check_space(0)
            self._unchecked = 0
        self.size_bytes += len(data)
        view = memoryview(data)
        while view:
            view = view[os.write(self._file, view) :]

    def _end_file(self) -> None:
        if self._file >= 0:
            os.utime(self._file, ns=(self._file_time_ns, self._file_time_ns))
            os.close(self._file)
            self._file = -1

    def _make_root(self) -> None:
        os.mkdir(self._partial, 0o700, dir_fd=self._parent)
        self._root = os.open(self._partial, _DIRECTORY, dir_fd=self._parent)
        self._counts["d"] += 1

    def _remember(self, late: _Late) -> None:
        self._late_bytes += _LATE_BYTES + sum(map(len, late.names)) + 50 * len(late.names) + len(late.target or b"")
        if self._late_bytes > LATE_LIMIT_BYTES:
            raise MalformedTree("more links and directories than can be remembered")
        self._late.append(late)

    def _open(self, names: tuple[bytes, ...]) -> int:
        """A descriptor of a directory of the tree, kept until another one is asked for. Links are not followed."""
        if not names:
            return self._root
        if self._place != names:
            if self._directory >= 0:
                os.close(self._directory)
                self._directory, self._place = -1, None
            self._directory = open_below(self._root, names, _DIRECTORY)
            self._place = names
        return self._directory

    def _finish_late(self, late: _Late) -> None:
        times = (late.time_ns, late.time_ns)
        if late.target is not None:
            parent = self._open(late.names[:-1])
            os.symlink(late.target, late.names[-1], dir_fd=parent)
            os.utime(late.names[-1], ns=times, dir_fd=parent, follow_symlinks=False)
            return
        directory = self._open(late.names)
        os.fchmod(directory, late.mode)
        os.utime(directory, ns=times)


def _translate(error: OSError, path: bytes) -> BangerError:
    """A failed system call as an error about the tree, or about this computer."""
    shown = printable(path, limit=200)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Unavailable("there is no space left for the copy", hint="free some space, or copy to another directory")
    if path and error.errno == errno.EEXIST:
        return MalformedTree(f"{shown} twice")
    if path and error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
        return MalformedTree(f"{shown} before its directory")
    return Failed(f"{shown or 'the copy'} cannot be written: {error.strerror}", hint="copy to another directory")
