"""Checking a database once, when it is opened, before anything is done that relies on it."""

from __future__ import annotations

import sqlite3
from uuid import UUID

from banger.core.errors import BangerError
from banger.core.names import parse_vm_name
from banger.store.faults import Damaged
from banger.store.records import list_open_operations, list_vms


def check_pages(connection: sqlite3.Connection) -> None:
    """Raise `Damaged` when pages, indexes, types or references do not fit together."""
    said = [row[0] for row in connection.execute("PRAGMA integrity_check(1)")]
    if said != ["ok"]:
        raise _damaged(str(said[0]).splitlines()[0] if said else "SQLite says nothing about it")
    if connection.execute("PRAGMA foreign_key_check").fetchone() is not None:
        raise _damaged("rows refer to rows that are not there")


def check_schema(connection: sqlite3.Connection, model: sqlite3.Connection) -> None:
    """Raise `Damaged` unless every table of `model`, an empty database of ours, is there, column by column.

    The columns are compared, not the text of the statements, which another SQLite may have written differently.
    """
    names = [row[0] for row in model.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")]
    others = connection.execute("SELECT name FROM sqlite_schema WHERE type NOT IN ('table', 'index')").fetchall()
    if others:
        raise _damaged(f"it has a {ascii(others[0][0])} that is neither table nor index")
    for name in names:
        if _shape(model, name) != _shape(connection, name):
            raise _damaged(f"its table {name} is not as it should be")


def check_rows(connection: sqlite3.Connection) -> None:
    """Raise `Damaged` unless every row that we act upon can be read. Ids become names of directories."""
    try:
        for record in list_vms(connection):
            if str(UUID(record.id)) != record.id:
                raise ValueError("an id is not a UUID")
            parse_vm_name(record.name)
        list_open_operations(connection)
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError, BangerError) as error:
        raise _damaged(f"a row makes no sense: {ascii(str(error))[:200]}") from error


def _shape(connection: sqlite3.Connection, table: str) -> list[tuple[object, ...]]:
    """Columns, indexes and references of a table."""
    return [
        tuple(row)
        for pragma in ("table_info", "index_list", "foreign_key_list")
        for row in connection.execute(f"PRAGMA {pragma}({table})").fetchall()
    ]


def _damaged(reason: str) -> Damaged:
    return Damaged(f"the database is damaged: {reason}")
