"""Placing files on the host: in a directory that is held open, by name. No symbolic link is followed."""

from __future__ import annotations

import errno
import logging
import os
import shutil
import stat
from typing import Final

from banger.core.errors import AlreadyExists, Failed, Invalid, NotFound
from banger.core.untrusted import printable
from banger.guest.tree_stream import NAME_LIMIT

log = logging.getLogger(__name__)

_PARTIAL_NAME_BYTES: Final = 150
# Enough to find and change entries; listing, which some parents do not allow, is not needed.
_PASSING: Final = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def check_name(name: str) -> bytes:
    """A single name in a directory of the host, as bytes. Raises `Invalid`."""
    encoded = os.fsencode(name)
    if encoded in (b"", b".", b"..") or b"/" in encoded or b"\0" in encoded or len(encoded) > NAME_LIMIT:
        raise Invalid(f"{printable(name, limit=100) or 'nothing'} is not a name for a file", hint="give another name")
    return encoded


def partial_name(final: bytes, operation: str) -> bytes:
    """The hidden name of an entry until it is complete, which contains the operation's id."""
    return b".%b.%b.partial" % (final[:_PARTIAL_NAME_BYTES], operation.encode())


def aside_name(partial: bytes) -> bytes:
    """The name of a directory while it is being replaced by `partial`."""
    return partial.removesuffix(b".partial") + b".replaced"


def open_directory(path: str) -> int:
    """A descriptor of a directory of the host for use as `dir_fd`, reached through no symbolic link at all.

    Raises `Invalid`, `NotFound`, `Failed`.
    """
    shown = printable(path, limit=200)
    names = tuple(os.fsencode(path).split(b"/"))[1:] if path != "/" else ()
    if not path.startswith("/") or "\0" in path or any(name in (b"", b".", b"..") for name in names):
        raise Invalid(f"{shown} is not the full name of a directory", hint="give another path")
    try:
        root = os.open("/", _PASSING)
        try:
            return open_below(root, names)
        finally:
            os.close(root)
    except FileNotFoundError as error:
        raise NotFound(f"there is no directory {shown}", hint="make it first") from error
    except OSError as error:
        what = f"cannot be opened: {error.strerror}"
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            what = "is not a directory, or was replaced just now"
        raise Failed(f"{shown} {what}", hint="try again, or copy to another directory") from error


def open_below(root: int, names: tuple[bytes, ...], flags: int = _PASSING) -> int:
    """A descriptor of a directory below `root`, opened with `flags`. Raises `OSError`; ENOTDIR or ELOOP for a link."""
    current = os.dup(root)
    for position, name in enumerate(names, start=1):
        try:
            below = os.open(name, flags if position == len(names) else _PASSING, dir_fd=current)
        finally:
            os.close(current)
        current = below
    return current


def check_vacant(parent: int, final: bytes, *, replace: bool) -> None:
    """Raise `AlreadyExists` early if nothing could be placed at a name."""
    there = _look(parent, final)
    if there is None or stat.S_ISREG(there.st_mode) or stat.S_ISLNK(there.st_mode):
        return
    if not stat.S_ISDIR(there.st_mode):
        raise AlreadyExists(f"{_shown(final)} exists and is not a file", hint="give another name")
    if not replace and _has_content(parent, final):
        raise _in_the_way(final)


def place(parent: int, partial: bytes, final: bytes, *, replace: bool) -> None:
    """Give a complete entry its final name. Raises `AlreadyExists` when what has that name must stay.

    A file or a link is replaced by a file at once, an empty directory by a directory. With `replace` a directory with
    content is first set aside; `finish_replacing` removes it, or brings it back.
    """
    there, new = _look(parent, final), os.stat(partial, dir_fd=parent, follow_symlinks=False)
    both_directories = there is not None and stat.S_ISDIR(there.st_mode) and stat.S_ISDIR(new.st_mode)
    if there is not None and not both_directories and not (_is_plain(there) and _is_plain(new)):
        raise _in_the_way(final)
    try:
        os.rename(partial, final, src_dir_fd=parent, dst_dir_fd=parent)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY, errno.EISDIR, errno.ENOTDIR):
            raise
        if not (replace and both_directories):
            raise _in_the_way(final) from error
        os.rename(final, aside_name(partial), src_dir_fd=parent, dst_dir_fd=parent)
        os.rename(partial, final, src_dir_fd=parent, dst_dir_fd=parent)


def finish_replacing(parent: int, partial: bytes, final: bytes) -> None:
    """Remove a directory that was set aside if its replacement is in place; else bring it back."""
    aside = aside_name(partial)
    if _look(parent, aside) is None:
        return
    if _look(parent, partial) is None:
        remove_entry(parent, aside)
    elif _look(parent, final) is None:
        os.rename(aside, final, src_dir_fd=parent, dst_dir_fd=parent)
    else:
        log.warning("%s is kept beside what somebody else put at its name", printable(aside))


def remove_entry(parent: int, name: bytes) -> None:
    """Remove a file, a link, or a directory with all that is below it. One that is gone is no error."""
    try:
        os.unlink(name, dir_fd=parent)
    except FileNotFoundError:
        return
    except IsADirectoryError:
        shutil.rmtree(name, dir_fd=parent)


def _in_the_way(final: bytes) -> AlreadyExists:
    return AlreadyExists(
        f"{_shown(final)} is there already, and what is copied cannot take its place",
        hint="give another name; --force lets a directory replace a directory",
    )


def _is_plain(status: os.stat_result) -> bool:
    return stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode)


def _look(parent: int, name: bytes) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _has_content(parent: int, name: bytes) -> bool:
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    except OSError:
        return True  # it cannot be looked into: let it be
    try:
        with os.scandir(descriptor) as entries:
            return next(entries, None) is not None
    finally:
        os.close(descriptor)


def _shown(name: bytes) -> str:
    return printable(name, limit=100)
