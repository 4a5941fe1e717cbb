"""Listing a file or directory of the host that goes into a guest. Symbolic links stay links; none is followed."""

from __future__ import annotations

import os
import stat
from collections.abc import Generator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from banger.core.errors import Failed, Invalid, NotFound
from banger.core.untrusted import printable
from banger.guest.host_place import open_directory
from banger.guest.tree_pack import Directory, HostFile, PackEntry, Report, SymbolicLink

DEPTH_LIMIT: Final = 500  # each level holds a descriptor
_LISTING: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def walk_host(directory: str, name: bytes, top: bytes, *, skipped: Report) -> Generator[PackEntry, None, None]:
    """The entries of `name` in `directory`, parents first, as a tree whose top is called `top`.

    `skipped` is told of what is not a file, directory or symbolic link, and of what vanishes meanwhile. Files can be
    opened until the next entry is asked for.
    Raises `NotFound`, `Failed` for a directory that cannot be read, `Invalid` for one without end.
    """
    parent = open_directory(directory)
    root = Path(f"/proc/self/fd/{parent}")  # whatever becomes of its name
    open_levels: list[tuple[int, bytes, Iterator[bytes]]] = []
    try:
        status = _look(parent, name)
        if status is None:
            raise NotFound(f"there is no {_shown(directory, name)}", hint="check the name")
        kind, entry = _entry(root, parent, name, host_name=name, path=top, status=status)
        if entry is None:
            raise Invalid(f"{_shown(directory, name)} is {kind}", hint="copy a file or a directory")
        yield entry
        if isinstance(entry, Directory):
            open_levels.append(_enter(parent, name, b""))
        while open_levels:
            descriptor, prefix, names = open_levels[-1]
            below = next(names, None)
            if below is None:
                os.close(descriptor)
                open_levels.pop()
                continue
            path = prefix + below
            status = _look(descriptor, below)
            if status is None:
                skipped(path, "is gone")
                continue
            kind, entry = _entry(
                root, descriptor, below, host_name=name + b"/" + path, path=top + b"/" + path, status=status
            )
            if entry is None:
                skipped(path, f"is {kind}, and is not copied")
                continue
            yield entry
            if isinstance(entry, Directory):
                if len(open_levels) >= DEPTH_LIMIT:
                    raise Invalid(f"directories are nested more than {DEPTH_LIMIT} deep", hint="copy a part of them")
                open_levels.append(_enter(descriptor, below, path + b"/"))
    finally:
        for descriptor, _, _ in open_levels:
            os.close(descriptor)
        os.close(parent)


def _entry(
    root: Path, directory: int, name: bytes, *, host_name: bytes, path: bytes, status: os.stat_result
) -> tuple[str, PackEntry | None]:
    """The kind of an entry in words, and its tree entry if it can be copied."""
    if stat.S_ISREG(status.st_mode):
        return "a file", HostFile(path=path, root=root, name=host_name)
    if stat.S_ISDIR(status.st_mode):
        mode = stat.S_IMODE(status.st_mode) & 0o777
        return "a directory", Directory(path=path, mode=mode, mtime_ns=status.st_mtime_ns)
    if stat.S_ISLNK(status.st_mode):
        with suppress(OSError):
            target = os.readlink(name, dir_fd=directory)
            return "a link", SymbolicLink(path=path, target=target, mtime_ns=status.st_mtime_ns)
        return "a link that changes", None
    if stat.S_ISSOCK(status.st_mode):
        return "a socket", None
    return ("a pipe" if stat.S_ISFIFO(status.st_mode) else "a device"), None


def _enter(directory: int, name: bytes, prefix: bytes) -> tuple[int, bytes, Iterator[bytes]]:
    try:
        descriptor = os.open(name, _LISTING, dir_fd=directory)
    except OSError as error:
        shown = printable(prefix or name, limit=200)
        raise Failed(
            f"{shown} cannot be read: {error.strerror}", hint="fix its permissions, or leave it out"
        ) from error
    try:
        names = sorted(map(os.fsencode, os.listdir(descriptor)))  # noqa: PTH208 - pathlib knows no descriptors
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor, prefix, iter(names)


def _look(directory: int, name: bytes) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _shown(directory: str, name: bytes) -> str:
    return printable(os.path.join(directory, os.fsdecode(name)), limit=200)
