"""git's index file (gitformat-index(5)), versions 2 and 3, read and written. Pure.

Reading shows what git saw of each file when it last compared it; writing makes an index that fits files in a guest
which do not exist yet.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from banger.core.errors import Failed

_HEADER: Final = struct.Struct(">4sII")
_STAT: Final = struct.Struct(">10I")
_FLAGS: Final = struct.Struct(">H")
_ASSUME_VALID: Final = 0x8000
_EXTENDED: Final = 0x4000
_SKIP_WORKTREE: Final = 0x4000  # in the second flags of an extended entry
_INTENT_TO_ADD: Final = 0x2000
_NAME_LIMIT: Final = 0x0FFF
_OID_BYTES: Final = {"sha1": 20, "sha256": 32}


class Stat(NamedTuple):
    """What an index remembers of a file; each number is cut to 32 bits."""

    ctime_s: int = 0
    ctime_ns: int = 0
    mtime_s: int = 0
    mtime_ns: int = 0
    device: int = 0
    inode: int = 0
    mode: int = 0
    uid: int = 0
    gid: int = 0
    size: int = 0


class IndexEntry(NamedTuple):
    """A tracked path. `hidden`: git was told not to look at the file (assume-unchanged or skip-worktree)."""

    path: bytes
    stat: Stat
    oid: bytes
    stage: int = 0
    hidden: bool = False
    intent_to_add: bool = False

    @property
    def mode(self) -> int:
        """0o100644, 0o100755, 0o120000, or what else is in the index."""
        return self.stat.mode


def read_index(data: bytes, *, object_format: str) -> list[IndexEntry]:
    """All entries, in the order of their names. Raises `Failed` for a file that is no such index."""
    try:
        return list(_read_entries(data, _OID_BYTES[object_format]))
    except (struct.error, ValueError) as error:
        raise Failed("git's index of the repository cannot be read", hint="does `git status` work there?") from error


def _read_entries(data: bytes, oid_bytes: int) -> Iterator[IndexEntry]:
    magic, version, count = _HEADER.unpack_from(data)
    if magic != b"DIRC" or version not in (2, 3):
        raise ValueError("unknown version")
    position = _HEADER.size
    for _ in range(count):
        start = position
        stat = Stat._make(_STAT.unpack_from(data, position))
        position += _STAT.size
        oid = data[position : position + oid_bytes]
        position += oid_bytes
        (flags,) = _FLAGS.unpack_from(data, position)
        position += _FLAGS.size
        extended = 0
        if flags & _EXTENDED:
            (extended,) = _FLAGS.unpack_from(data, position)
            position += _FLAGS.size
        end = data.index(b"\0", position)
        path = data[position:end]
        # One to eight NULs fill an entry up to a multiple of eight bytes.
        position = start + (end - start + 8) // 8 * 8
        hidden = bool(flags & _ASSUME_VALID or extended & _SKIP_WORKTREE)
        yield IndexEntry(path, stat, oid, flags >> 12 & 3, hidden, bool(extended & _INTENT_TO_ADD))


def write_index(entries: Iterable[IndexEntry], *, object_format: str) -> bytes:
    """An index of version 2 with these entries; `hidden` and `intent_to_add` are not written."""
    ordered = sorted(entries, key=lambda entry: (entry.path, entry.stage))
    parts = [_HEADER.pack(b"DIRC", 2, len(ordered))]
    for entry in ordered:
        flags = entry.stage << 12 | min(len(entry.path), _NAME_LIMIT)
        body = _STAT.pack(*entry.stat) + entry.oid + _FLAGS.pack(flags) + entry.path
        parts.append(body + bytes(8 - len(body) % 8))
    data = b"".join(parts)
    return data + hashlib.new(object_format, data, usedforsecurity=False).digest()
