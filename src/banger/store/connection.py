"""The one module that opens SQLite.

All statements run on one thread, so there is one writer and no waiting for locks. Each call is one transaction that
is on disk when it returns (`synchronous=FULL`, write-ahead log).
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from banger.core.errors import Unsupported
from banger.store.migrations import MIGRATIONS

Result = TypeVar("Result")


class Database:
    """An open database. `call` runs a function on its connection as one transaction."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sqlite")
        self._connection: sqlite3.Connection | None = None

    async def open(self) -> None:
        """Open or create the file and bring its schema up to date.

        Raises `Unsupported` when a newer banger wrote it.
        """
        await asyncio.get_running_loop().run_in_executor(self._thread, self._open)

    async def call(self, function: Callable[[sqlite3.Connection], Result]) -> Result:
        """Run `function` in a transaction on the database's thread; an exception rolls it back.

        Once begun it ends, even if the caller is cancelled: the caller then sees the cancellation.
        """
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._transact, function)

    async def close(self) -> None:
        """Close the file; later calls fail."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown()

    def _open(self) -> None:
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=True)
        try:
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA busy_timeout = 5000")
            migrate(connection)
        except BaseException:
            connection.close()
            raise
        self._connection = connection

    def _transact(self, function: Callable[[sqlite3.Connection], Result]) -> Result:
        connection = self._connection
        assert connection is not None, "the database is not open"
        connection.execute("BEGIN IMMEDIATE")
        try:
            result = function(connection)
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
        return result

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def migrate(connection: sqlite3.Connection) -> None:
    """Apply the migrations that the file lacks, each in its own transaction; `user_version` counts them."""
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > len(MIGRATIONS):
        raise Unsupported(
            f"the database has schema {version}, and this banger knows {len(MIGRATIONS)}: a newer banger wrote it",
            hint="install the newer banger again, or set BANGER_HOME to another directory",
        )
    for number, (_, script) in enumerate(MIGRATIONS[version:], start=version + 1):
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement in filter(str.strip, script.split(";")):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number}")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
