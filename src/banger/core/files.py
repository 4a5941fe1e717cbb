"""Writing and removing files so that a crash leaves either the old state or the new one."""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path

from banger.core.locks import try_lock


def make_private_directory(path: Path) -> None:
    """Make `path` and its missing parents with mode 0700; an existing directory stays as it is."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)


def write_durably(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Replace `path` with `content`: temporary file beside it, fsync, rename, fsync of the directory.

    The temporary file is locked as long as somebody writes it. The file has exactly `mode`, whatever the umask.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            try_lock(descriptor)
            os.fchmod(descriptor, mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable (fsync(2))."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_directory(path: Path, *, trash: Path) -> None:
    """Remove a directory tree: first renamed into `trash` (same file system), so that it is never seen half removed."""
    make_private_directory(trash)
    doomed = trash / f"{path.name}.{secrets.token_hex(4)}"
    try:
        path.rename(doomed)
    except FileNotFoundError:
        return
    shutil.rmtree(doomed)


def empty_trash(trash: Path) -> None:
    """Remove what an interrupted `remove_directory` left."""
    if trash.is_dir():
        for entry in trash.iterdir():
            shutil.rmtree(entry, ignore_errors=True)
