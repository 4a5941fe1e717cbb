"""SQLite's errors, as errors that a user can act on (https://www.sqlite.org/rescode.html)."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Final

from banger.core.errors import BangerError, Denied, Failed, Unavailable
from banger.core.faults import DISK_HINT, FULL_HINT

# No code at all: Python could not decode what SQLite gave it.
_CONTENT: Final = (
    0,
    sqlite3.SQLITE_ERROR,
    sqlite3.SQLITE_CONSTRAINT,
    sqlite3.SQLITE_MISMATCH,
    sqlite3.SQLITE_SCHEMA,
    sqlite3.SQLITE_TOOBIG,
)


class Damaged(Failed):
    """The database's content makes no sense. Whoever opens databases sets it aside and makes a new one."""


def translate_sqlite_error(error: sqlite3.Error, path: Path) -> BangerError | None:
    """The error to raise in its place; None for what only a defect of ours can cause."""
    code = primary_code(error)
    if code == sqlite3.SQLITE_FULL or error_code(error) == sqlite3.SQLITE_IOERR_SHMSIZE:
        return Unavailable(f"there is no space left for the database {path}", hint=FULL_HINT)
    if code == sqlite3.SQLITE_IOERR:
        return Failed(f"the disk failed: {path}: {error}", hint=DISK_HINT)
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return Unavailable(
            f"another program holds the database {path}", hint=f"`fuser {path}` shows which one; end it and try again"
        )
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_AUTH):
        return Denied(
            f"the database {path} cannot be opened for writing: {error}",
            hint=f"`ls -la {path.parent}` shows its permissions; it has to be a file of yours",
        )
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT):
        return Damaged(
            f"the database {path} is damaged: {error}",
            hint="`banger daemon restart` sets it aside and makes a new one from what is on disk; VMs stay as they are",
        )
    return None


def is_full(error: sqlite3.Error) -> bool:
    """Whether the disk was full. The shared memory of the log reports that in another way (os_unix.c)."""
    return primary_code(error) == sqlite3.SQLITE_FULL or error_code(error) in (
        sqlite3.SQLITE_IOERR_SHMSIZE,
        sqlite3.SQLITE_IOERR_WRITE,
    )


def judge_opening(error: sqlite3.Error, path: Path) -> BangerError:
    """The same while a database is being opened: every statement is ours then, and what is refused is the content."""
    if error_code(error) == sqlite3.SQLITE_READONLY and os.access(path, os.W_OK):
        return Damaged(f"the database {path} is damaged: it says that nobody may write it, and its permissions do not")
    if (told := translate_sqlite_error(error, path)) is not None:
        return told
    if primary_code(error) in _CONTENT:
        return Damaged(f"the database {path} is damaged: {error}")
    return Failed(f"the database {path} cannot be opened: {error}", hint="the daemon's log has the details")


def primary_code(error: sqlite3.Error) -> int:
    """What kind of error it is, without its details."""
    return error_code(error) & 0xFF


def error_code(error: sqlite3.Error) -> int:
    """SQLite's extended code; 0 when SQLite had no part in it."""
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code
