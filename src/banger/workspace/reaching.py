"""Files of a tree by descriptors: name by name from the top, so that no symbolic link on the way is ever followed.

Everything blocks.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from banger.workspace.patch_lines import show_path

READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_DIRECTORY: Final = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def opened_parent(top: int, path: bytes, *, make_mode: int | None = None) -> Iterator[tuple[int, bytes]]:
    """The directory of a file and its name there, with no link followed; directories are made with `make_mode`."""
    *above, name = path.split(b"/")
    descriptor = os.dup(top)
    try:
        for part in above:
            made = make_mode is not None and _make_directory(part, descriptor)
            following = os.open(part, READ | os.O_DIRECTORY if made else _DIRECTORY, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = following
            if made and make_mode is not None:
                os.fchmod(descriptor, make_mode)
        yield descriptor, name
    finally:
        os.close(descriptor)


def _make_directory(name: bytes, parent: int) -> bool:
    """Make a directory. Returns whether it was missing."""
    try:
        os.mkdir(name, 0o700, dir_fd=parent)
    except FileExistsError:
        return False
    return True


def missing_above(top: int, path: bytes) -> Iterator[bytes]:
    """The missing directories above a path, from the top."""
    above = path.split(b"/")[:-1]
    for end in range(1, len(above) + 1):
        parent = b"/".join(above[:end])
        try:
            with opened_parent(top, parent + b"/x"):
                pass
        except OSError:
            yield parent


def modes_above(top: int, path: bytes) -> Iterator[tuple[bytes, int]]:
    """The directories above a path with their permissions, from the top."""
    above = path.split(b"/")[:-1]
    for end in range(1, len(above) + 1):
        with opened_parent(top, b"/".join(above[:end])) as (parent, name):
            yield b"/".join(above[:end]), stat.S_IMODE(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode)


def remove_empty_above(top: int, path: bytes) -> None:
    """Remove the directories above a path that have nothing left in them, as git does."""
    above = path.split(b"/")[:-1]
    for end in range(len(above), 0, -1):
        try:
            with opened_parent(top, b"/".join(above[:end])) as (parent, name):
                os.rmdir(name, dir_fd=parent)
        except OSError:
            return


def exists(parent: int, name: bytes) -> bool:
    """Whether there is anything of a name in a directory."""
    try:
        os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def holds(parent: int, name: bytes, content: Path, *, target: bytes | None) -> bool:
    """Whether a name has just that content, or is a link with that target."""
    try:
        if target is not None:
            return os.readlink(name, dir_fd=parent) == target
        descriptor = os.open(name, READ, dir_fd=parent)
    except OSError:
        return False
    with os.fdopen(descriptor, "rb") as here, content.open("rb") as there:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return False
        while True:
            mine, other = here.read(1 << 20), there.read(1 << 20)
            if mine != other:
                return False
            if not mine:
                return True


def find_obstacle(top: Path, path: bytes, gone: frozenset[bytes]) -> str | None:
    """What would be in the way of a file at `path` after those in `gone` are removed; None if nothing is."""
    here = os.fsencode(top)
    *above, last = path.split(b"/")
    for end, part in enumerate(above, start=1):
        here = os.path.join(here, part)
        parent = b"/".join(above[:end])
        try:
            status = os.lstat(here)
        except FileNotFoundError:
            return None
        if not stat.S_ISDIR(status.st_mode):
            return None if parent in gone else f"{show_path(parent)} is not a directory here"
    try:
        status = os.lstat(os.path.join(here, last))
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(status.st_mode):
        return None if _goes_away(os.path.join(here, last), path, gone) else f"{show_path(path)} is a directory here"
    if stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode):
        return None  # git says what is wrong with it
    return f"{show_path(path)} is neither a file nor a link here"


def _goes_away(directory: bytes, path: bytes, gone: frozenset[bytes]) -> bool:
    """Whether a directory is removed with those files: it is not empty, and has nothing else in it."""
    entries = list(os.scandir(directory))
    return bool(entries) and all(
        _goes_away(entry.path, path + b"/" + entry.name, gone)
        if entry.is_dir(follow_symlinks=False)
        else path + b"/" + entry.name in gone
        for entry in entries
    )
