"""Databases of rpm as rpm makes them, made by SQLite itself."""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

NAME, VERSION, RELEASE, EPOCH = 1000, 1001, 1002, 1003
STRING, INT32 = 6, 4


def header(name: str, version: str = "1.0", release: str = "1", *, epoch: int = 0, padding: int = 0) -> bytes:
    """A package's header; `padding` bytes of other things are in it."""
    store = b"\0" * padding
    entries = []
    texts = ((NAME, name), (VERSION, version), (RELEASE, release))
    for tag, text in texts:
        entries.append((tag, STRING, len(store), 1))
        store += text.encode() + b"\0"
    if epoch:
        store += bytes(-len(store) % 4)
        entries.append((EPOCH, INT32, len(store), 1))
        store += struct.pack(">I", epoch)
    index = b"".join(struct.pack(">iiii", *entry) for entry in entries)
    return struct.pack(">II", len(entries), len(store)) + index + store


def database(path: Path, blobs: Iterable[bytes], *, page_bytes: int = 4096) -> bytes:
    """A file with these headers."""
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as opened:
        opened.execute(f"PRAGMA page_size = {page_bytes}")
        opened.execute("CREATE TABLE 'Packages' (hnum INTEGER PRIMARY KEY AUTOINCREMENT, blob BLOB NOT NULL)")
        opened.execute("CREATE TABLE 'Name' (key 'TEXT' NOT NULL, hnum INTEGER NOT NULL, idx INTEGER NOT NULL)")
        opened.executemany("INSERT INTO Packages (blob) VALUES (?)", ((blob,) for blob in blobs))
        opened.commit()
    return path.read_bytes()
