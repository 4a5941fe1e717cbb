"""The schema, as an ordered list of steps that are never edited once released, and taking them."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Final

from banger.core.files import sync_directory

COPIES_KEPT: Final = 3

MIGRATIONS: Final[tuple[tuple[str, str], ...]] = (
    (
        "machines, workspaces and the journal",
        """
        CREATE TABLE vm (
            id TEXT PRIMARY KEY,
            name TEXT NOT NULL UNIQUE,
            state TEXT NOT NULL,
            spec TEXT NOT NULL,
            ephemeral INTEGER NOT NULL,
            created_at_s REAL NOT NULL,
            started_at_s REAL,
            accelerator TEXT NOT NULL DEFAULT '',
            boot_id TEXT NOT NULL DEFAULT '',
            problem TEXT NOT NULL DEFAULT '',
            timings TEXT NOT NULL DEFAULT '{}'
        ) STRICT;
        CREATE TABLE workspace (
            vm_id TEXT NOT NULL REFERENCES vm (id) ON DELETE CASCADE,
            guest_path TEXT NOT NULL,
            source TEXT NOT NULL,
            head TEXT,
            branch TEXT,
            base TEXT,
            PRIMARY KEY (vm_id, guest_path)
        ) STRICT;
        CREATE TABLE operation (
            id TEXT PRIMARY KEY,
            kind TEXT NOT NULL,
            vm_id TEXT NOT NULL,
            state TEXT NOT NULL,
            started_at_s REAL NOT NULL,
            ended_at_s REAL,
            error TEXT NOT NULL DEFAULT ''
        ) STRICT;
        CREATE INDEX operation_open ON operation (state) WHERE state = 'open';
        CREATE TABLE step (
            operation_id TEXT NOT NULL REFERENCES operation (id) ON DELETE CASCADE,
            seq INTEGER NOT NULL,
            name TEXT NOT NULL,
            state TEXT NOT NULL,
            PRIMARY KEY (operation_id, seq)
        ) STRICT;
        """,
    ),
    (
        "what an operation was asked, what a running VM was started with, and when a VM's time is up",
        """
        ALTER TABLE operation ADD COLUMN arguments TEXT NOT NULL DEFAULT '{}';
        ALTER TABLE vm ADD COLUMN running_spec TEXT;
        ALTER TABLE vm ADD COLUMN ttl_left_s REAL;
        ALTER TABLE vm ADD COLUMN ttl_marked_s REAL NOT NULL DEFAULT 0;
        ALTER TABLE vm ADD COLUMN ttl_boot_id TEXT NOT NULL DEFAULT '';
        """,
    ),
)


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Apply the migrations that the file lacks, each in its own transaction; `user_version` counts them.

    Before the first of them a copy is made as `NAME.before-schema-N`, of which the last few are kept.
    """
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if 0 < version < len(MIGRATIONS):
        copy_before(connection, path, version + 1)
    apply_migrations(connection, version)


def apply_migrations(connection: sqlite3.Connection, version: int) -> None:
    """Take all steps after `version`."""
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


def copy_before(connection: sqlite3.Connection, path: Path, number: int) -> None:
    """Copy the database as it is before migration `number`; an older copy with that name is replaced when it is whole.

    Raises `OSError` or `sqlite3.Error`; the database is untouched then.
    """
    unfinished = path.with_name(f".{path.name}.copy")
    unfinished.unlink(missing_ok=True)
    # SQLite writes into an empty file of ours, which keeps its private mode (lang_vacuum.html).
    descriptor = os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        connection.execute("VACUUM INTO ?", (str(unfinished),))
        os.fsync(descriptor)
        unfinished.rename(_copy(path, number))
        sync_directory(path.parent)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)
    for old in range(1, number - COPIES_KEPT + 1):
        _copy(path, old).unlink(missing_ok=True)


def _copy(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.before-schema-{number}")
