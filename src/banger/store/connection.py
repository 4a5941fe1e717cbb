"""The one module that opens SQLite.

All statements run on one thread, so there is one writer and no waiting for locks. Each call is one transaction that
is on disk when it returns (`synchronous=FULL`, write-ahead log).
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import Final, TypeVar

from banger.core.errors import Denied, Internal, Unsupported
from banger.core.files import sync_directory
from banger.store.faults import Damaged, is_full, judge_opening, translate_sqlite_error
from banger.store.health import check_pages, check_rows, check_schema
from banger.store.migrations import MIGRATIONS, apply_migrations, migrate
from banger.store.reserve import Reserve

Result = TypeVar("Result")

# What a transaction runs on. Only this room writes statements; others pass it on to the functions of `records`.
Connection = sqlite3.Connection
BUSY_S: Final = 5.0  # how long somebody else may hold the file before we say so
LOG_PAGES: Final = 200  # then the log begins anew: it grows no larger than the reserve
NEEDED_SQLITE: Final = (3, 37)  # the first with STRICT tables


class Database:
    """An open database. `call` runs a function on its connection as one transaction."""

    def __init__(self, path: Path, *, busy_s: float = BUSY_S) -> None:
        self._path = path
        self._busy_s = busy_s
        self._reserve = Reserve(path.with_name(f".{path.name}.reserve"))
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sqlite")
        self._connection: sqlite3.Connection | None = None

    async def open(self) -> None:
        """Open or create the file, see whether it is sound, and bring its schema up to date after making a copy.

        Raises `Unsupported` when a newer banger wrote it, `Damaged` when its content makes no sense, `Denied`,
        `Unavailable` or `Failed` when it cannot be used as it is. The file is as it was in all these cases.
        """
        await asyncio.get_running_loop().run_in_executor(self._thread, self._open)

    async def call(self, function: Callable[[sqlite3.Connection], Result]) -> Result:
        """Run `function` in a transaction on the database's thread; an exception rolls it back.

        Once begun it ends, even if the caller is cancelled: the caller then sees the cancellation. Raises `Unavailable`
        when the disk is full, `Failed` when it fails, `Internal` for statements that make no sense.
        """
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._transact, function)

    async def close(self) -> None:
        """Close the file; later calls fail."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown()

    def _open(self) -> None:
        if sqlite3.sqlite_version_info < NEEDED_SQLITE:
            raise Unsupported(
                f"SQLite {sqlite3.sqlite_version} is too old", hint="banger needs SQLite 3.37 or newer under its Python"
            )
        try:
            refuse_newer(self._path, self._busy_s)
            self._connection = self._with_reserve(lambda: _connect(self._path, self._busy_s))
        except sqlite3.Error as error:
            raise judge_opening(error, self._path) from error
        except UnicodeDecodeError as error:  # Python could not even decode what SQLite complained about
            raise Damaged(f"the database {self._path} is damaged: its schema is not text") from error

    def _transact(self, function: Callable[[sqlite3.Connection], Result]) -> Result:
        connection = self._connection
        assert connection is not None, "the database is not open"
        try:
            return self._with_reserve(lambda: _run(connection, function))
        except sqlite3.Error as error:
            raise translate_sqlite_error(error, self._path) or Internal(f"SQLite refused: {error}") from error

    def _with_reserve(self, act: Callable[[], Result]) -> Result:
        """Call `act`; if the disk is full, release the reserve and call it again."""
        try:
            result = act()
        except sqlite3.Error as error:
            if not is_full(error) or not self._reserve.release():
                raise
            return act()
        self._reserve.keep()
        return result

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _run(connection: sqlite3.Connection, function: Callable[[sqlite3.Connection], Result]) -> Result:
    """One transaction."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        result = function(connection)
        connection.execute("COMMIT")
    except BaseException:
        # After a failure of the disk SQLite may have rolled back already.
        if connection.in_transaction:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
        raise
    return result


def _connect(path: Path, busy_s: float) -> sqlite3.Connection:
    """A connection to a database that was looked at and has our schema."""
    connection = sqlite3.connect(path, timeout=busy_s, isolation_level=None, check_same_thread=True)
    try:
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA cell_size_check = ON")
        check_pages(connection)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute(f"PRAGMA wal_autocheckpoint = {LOG_PAGES}")
        migrate(connection, path)
        with closing(sqlite3.connect(":memory:", isolation_level=None)) as model:
            apply_migrations(model, 0)
            check_schema(connection, model)
        check_rows(connection)
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")  # can it be written at all?
    except BaseException:
        connection.close()
        raise
    return connection


def refuse_newer(path: Path, busy_s: float) -> None:
    """Raise `Unsupported` when a newer banger wrote the file, `Damaged` when nobody can have written that number.

    The file is only read: without a write-ahead log that holds something, not even a lock is taken.
    """
    if not path.exists():
        return
    if not path.is_file():
        raise Denied(f"{path} is not a file", hint="move it away; banger keeps its database there")
    log = path.with_name(path.name + "-wal")
    how = "mode=ro" if log.exists() and log.stat().st_size else "mode=ro&immutable=1"
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?{how}", uri=True, timeout=busy_s)) as connection:
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > len(MIGRATIONS):
        raise Unsupported(
            f"the database has schema {version}, and this banger knows {len(MIGRATIONS)}: a newer banger wrote it",
            hint="install the newer banger again, or set BANGER_HOME to another directory",
        )
    if version < 0:
        raise Damaged(f"the database {path} is damaged: its schema has the number {version}")


def set_aside(path: Path) -> Path | None:
    """Rename a database and what belongs to it to `NAME.damaged-N`. Its new path, or None when there was nothing."""
    number = 1
    while any(path.with_name(f"{path.name}.damaged-{number}{suffix}").exists() for suffix in ("", "-wal", "-shm")):
        number += 1
    moved: Path | None = None
    # The database goes first: one without its log would look sound and be older than it is.
    for suffix in ("", "-wal", "-shm"):
        target = path.with_name(f"{path.name}.damaged-{number}{suffix}")
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(target)
            moved = moved or target
    sync_directory(path.parent)
    return moved


def list_set_aside(path: Path) -> list[Path]:
    """Databases that were set aside and are still there."""
    return sorted(
        other for other in path.parent.glob(f"{path.name}.damaged-*") if other.name[-4:] not in ("-wal", "-shm")
    )
