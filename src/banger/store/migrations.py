"""The schema, as an ordered list of steps that are never edited once released."""

from __future__ import annotations

from typing import Final

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
