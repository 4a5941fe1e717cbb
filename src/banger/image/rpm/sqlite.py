"""The rows of one table of an SQLite file, read as the file format has them (https://www.sqlite.org/fileformat2.html).

Nothing that the file says is executed: of its schema only the number of a table's first page is used. In a sound file
each page is used once, and rows are no longer than the file: reading ends there at the latest.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO, Final

from banger.core.errors import Unsupported

MAGIC: Final = b"SQLite format 3\0"
_SIZE_LIMIT_BYTES: Final = 256 << 20
_ROW_LIMIT_BYTES: Final = 16 << 20
_SCHEMA_ROW_LIMIT_BYTES: Final = 1 << 20
_DEPTH_LIMIT: Final = 20
_WAITING_LIMIT: Final = 100_000  # pages of which the numbers are known
_VALUES_LIMIT: Final = 64
_CELL_BYTES: Final = 4  # of the smallest one
_INTERIOR: Final = 5
_LEAF: Final = 13
_INTEGER_BYTES: Final = (0, 1, 2, 3, 4, 6, 8, 8, 0, 0)  # of serial types 0 to 9

Value = bytes | int | None


class Damaged(Exception):
    """The file is not a sound database."""


class SqliteFile:
    """A database file. Raises `Damaged` for what is none, `Unsupported` for one that is larger than any would be."""

    def __init__(self, file: BinaryIO, size_bytes: int) -> None:
        head = file.read(100)
        if len(head) < 100 or not head.startswith(MAGIC):
            raise Damaged("it is not an SQLite database")
        if size_bytes > _SIZE_LIMIT_BYTES:
            raise Unsupported(f"it is larger than {_SIZE_LIMIT_BYTES >> 20} MiB")
        page_bytes = int.from_bytes(head[16:18], "big")
        self._page_bytes = 65536 if page_bytes == 1 else page_bytes
        self._usable_bytes = self._page_bytes - head[20]
        if self._page_bytes not in (1 << power for power in range(9, 17)) or self._usable_bytes < 480:
            raise Damaged("its pages have no possible size")
        if int.from_bytes(head[56:60], "big") > 1:
            raise Unsupported("its text is not UTF-8")
        self._file = file
        self._size_bytes = size_bytes
        self._pages = size_bytes // self._page_bytes
        self._pages_left = self._bytes_left = 0

    def rows(self, table: str) -> Iterator[tuple[Value, ...]]:
        """The rows of a table, each with no more than 16 MiB. Raises `Damaged` and `Unsupported` while it reads."""
        root = None
        for row in self._read(1, limit_bytes=_SCHEMA_ROW_LIMIT_BYTES):
            if len(row) >= 4 and row[:2] == (b"table", table.encode()) and isinstance(row[3], int):
                root = row[3]
        if root is None:
            raise Damaged(f"it has no table {table}")
        yield from self._read(root, limit_bytes=_ROW_LIMIT_BYTES)

    def _read(self, root: int, *, limit_bytes: int) -> Iterator[tuple[Value, ...]]:
        self._pages_left, self._bytes_left = self._pages, self._size_bytes
        stack = [(root, 0)]
        while stack:
            number, depth = stack.pop()
            page = self._page(number)
            start = 100 if number == 1 else 0
            kind, cells = page[start], int.from_bytes(page[start + 3 : start + 5], "big")
            if kind not in (_INTERIOR, _LEAF) or depth > _DEPTH_LIMIT:
                raise Damaged(f"page {number} is not a page of a table")
            if len(stack) > _WAITING_LIMIT:
                raise Damaged("it has too many pages")
            pointers = start + (12 if kind == _INTERIOR else 8)
            if pointers + 2 * cells > len(page):
                raise Damaged(f"page {number} has too many cells")
            offsets = struct.unpack_from(f">{cells}H", page, pointers)
            if kind == _INTERIOR:
                children = [*(_number(page, offset) for offset in offsets), _number(page, start + 8)]
                stack += [(child, depth + 1) for child in reversed(children)]
            else:
                for offset in offsets:
                    yield parse_record(self._payload(page, offset, limit_bytes=limit_bytes))

    def _page(self, number: int) -> bytes:
        self._pages_left -= 1
        if not 1 <= number <= self._pages or self._pages_left < 0:
            raise Damaged(f"there is no page {number}, or it is used twice")
        self._file.seek((number - 1) * self._page_bytes)
        page = self._file.read(self._page_bytes)
        if len(page) != self._page_bytes:
            raise Damaged("it is cut")
        return page[: self._usable_bytes]

    def _payload(self, page: bytes, offset: int, *, limit_bytes: int) -> bytes:
        """A row's bytes: those in the page, and those in pages that follow each other."""
        size, offset = read_varint(page, offset)
        _, offset = read_varint(page, offset)
        if size > limit_bytes:
            raise Unsupported(f"it has a row of more than {limit_bytes >> 20} MiB")
        self._bytes_left -= size + _CELL_BYTES
        if self._bytes_left < 0:
            raise Damaged("its rows are longer than it is")
        local = plan_local(size, self._usable_bytes)
        pieces = [page[offset : offset + local]]
        missing = size - len(pieces[0])
        following = _number(page, offset + local) if local < size else 0
        while missing > 0 and following:
            overflow = self._page(following)
            following = _number(overflow, 0)
            pieces.append(overflow[4 : 4 + missing])
            missing -= len(pieces[-1])
        if missing:
            raise Damaged("a row is cut")
        return b"".join(pieces)


def plan_local(size: int, usable_bytes: int) -> int:
    """How many of a row's bytes are in its own page."""
    if size <= usable_bytes - 35:
        return size
    least = (usable_bytes - 12) * 32 // 255 - 23
    fitting = least + (size - least) % (usable_bytes - 4)
    return fitting if fitting <= usable_bytes - 35 else least


def parse_record(payload: bytes) -> tuple[Value, ...]:
    """The values of a row: integers, and texts and blobs as bytes; other numbers are None. Raises `Damaged`."""
    end, at = read_varint(payload, 0)
    values: list[Value] = []
    place = end
    while at < end:
        kind, at = read_varint(payload, at)
        if kind >= 12:
            size = (kind - 12) // 2
        elif kind < len(_INTEGER_BYTES):
            size = _INTEGER_BYTES[kind]
        else:
            raise Damaged("a row has a value of no kind")
        if place + size > len(payload) or len(values) == _VALUES_LIMIT:
            raise Damaged("a row is cut")
        data = payload[place : place + size]
        place += size
        values.append(data if kind >= 12 else _integer(kind, data))
    return tuple(values)


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """An integer of one to nine bytes, and where it ends. Raises `Damaged`."""
    value = 0
    for count, byte in enumerate(data[at : at + 9], start=1):
        if count == 9:
            return value << 8 | byte, at + count
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + count
    raise Damaged("a number is cut")


def _integer(kind: int, data: bytes) -> int | None:
    if kind in (8, 9):
        return kind - 8
    return None if kind in (0, 7) else int.from_bytes(data, "big", signed=True)


def _number(page: bytes, at: int) -> int:
    if at + 4 > len(page):
        raise Damaged("a number is cut")
    return int.from_bytes(page[at : at + 4], "big")
