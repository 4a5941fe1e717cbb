"""Listing files and directories of the host as entries that outlive the listing, with their sizes.

Found name by name, through no symbolic link. `host_walk` is for what is sent at once, and takes links along.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from banger.guest.tree_pack import Directory, HostFile, PackEntry, open_directory


def list_host_files(
    root: Path, name: bytes, *, at: bytes, skipped: Callable[[bytes, str], None]
) -> Iterator[tuple[PackEntry, int]]:
    """The entries of what lies at `name` below `root`, to be put `at` a path, each with its size in bytes.

    A directory comes before what is in it, and that in the order of the names. Links, devices, sockets and pipes are
    told to `skipped` with their name below `root` and what they are. Raises `OSError` for what cannot be read:
    `FileNotFoundError` when `name` is not there, `NotADirectoryError` when the way to it is not made of directories.
    """
    parent, _, base = name.rpartition(b"/")
    directory = open_directory(root, parent)
    try:
        status = os.stat(base, dir_fd=directory, follow_symlinks=False)
    finally:
        os.close(directory)
    yield from _list(root, name, at, status, skipped)


def _list(
    root: Path, name: bytes, at: bytes, status: os.stat_result, skipped: Callable[[bytes, str], None]
) -> Iterator[tuple[PackEntry, int]]:
    waiting = [(name, at, status)]
    while waiting:
        name, at, status = waiting.pop()
        if stat.S_ISREG(status.st_mode):
            yield HostFile(path=at, root=root, name=name), status.st_size
        elif stat.S_ISDIR(status.st_mode):
            yield Directory(path=at, mode=stat.S_IMODE(status.st_mode) & 0o777, mtime_ns=status.st_mtime_ns), 0
            inside = sorted(_read_directory(root, name), reverse=True)
            waiting += [(name + b"/" + base, at + b"/" + base, below) for base, below in inside]
        else:
            skipped(name, "is a symbolic link" if stat.S_ISLNK(status.st_mode) else "is neither a file nor a directory")


def _read_directory(root: Path, name: bytes) -> Iterator[tuple[bytes, os.stat_result]]:
    place = open_directory(root, name)
    try:
        directory = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=place)
    finally:
        os.close(place)
    try:
        with os.scandir(directory) as found:
            for entry in found:
                with suppress(FileNotFoundError):  # it went away meanwhile
                    yield os.fsencode(entry.name), entry.stat(follow_symlinks=False)
    finally:
        os.close(directory)
