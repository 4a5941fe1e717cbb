"""The binary hunks of git's patches: base 85 lines, deflate, and git's delta format. Pure.

No number is trusted: sizes are counted while inflating, and a delta is walked through without being applied.
"""

from __future__ import annotations

import base64
import re
import zlib
from dataclasses import dataclass
from typing import Final

DELTA_LIMIT_BYTES: Final = 32 << 20
RESULT_LIMIT_BYTES: Final = 512 << 20
OPERATIONS_LIMIT: Final = (
    4_000_000  # of deltas; git's own have one for 64 KiB that are copied, or 127 bytes that are new
)
_HEADER: Final = re.compile(rb"(literal|delta) (0|[1-9]\d{0,11})")
_FULL_LINE: Final = 52
_INFLATE_STEP: Final = 1 << 20
_COPY: Final = 0x80
_DEFAULT_COPY_BYTES: Final = 0x10000


class MalformedHunk(Exception):
    """A binary hunk that git would not write. The text says what is wrong."""


@dataclass(frozen=True, slots=True)
class BinaryHunk:
    """The sizes of a hunk: it makes `result_bytes`, from `source_bytes` for a delta, from nothing for a literal.

    `operations` is the number of steps in a delta.
    """

    source_bytes: int | None
    result_bytes: int
    operations: int = 0


class BinaryHunkReader:
    """Takes the lines of one hunk: its header first, the empty line last. Raises `MalformedHunk`."""

    def __init__(self, header: bytes) -> None:
        match = _HEADER.fullmatch(header)
        if match is None:
            raise MalformedHunk("its binary content is malformed")
        self._size = int(match[2])
        self._delta = bytearray() if match[1] == b"delta" else None
        if self._size > (RESULT_LIMIT_BYTES if self._delta is None else DELTA_LIMIT_BYTES):
            raise MalformedHunk("its binary content is too large")
        self._inflate = zlib.decompressobj()
        self._got = 0
        self._short = False

    def take(self, line: bytes) -> None:
        """One line of data."""
        data = decode_line(line)
        if data is None or self._short:
            raise MalformedHunk("its binary content is malformed")
        self._short = len(data) < _FULL_LINE
        while data and not self._inflate.eof:
            try:
                inflated = self._inflate.decompress(data, _INFLATE_STEP)
            except zlib.error as error:
                raise MalformedHunk("its binary content is malformed") from error
            data = self._inflate.unconsumed_tail
            self._got += len(inflated)
            if self._got > self._size:
                raise MalformedHunk("its binary content is larger than it says")
            if self._delta is not None:
                self._delta += inflated
        if data or self._inflate.unused_data:
            raise MalformedHunk("its binary content continues after its end")

    def end(self) -> BinaryHunk:
        """The empty line came."""
        if not self._inflate.eof or self._got != self._size:
            raise MalformedHunk("its binary content has another size than it says")
        return BinaryHunk(None, self._size) if self._delta is None else walk_delta(bytes(self._delta))


def decode_line(line: bytes) -> bytes | None:
    """The bytes of one line: a letter for their number, then base 85 in groups of five; None when malformed."""
    head = line[:1]
    if b"A" <= head <= b"Z":
        count = head[0] - ord("A") + 1
    elif b"a" <= head <= b"z":
        count = head[0] - ord("a") + 27
    else:
        return None
    if len(line) - 1 != -(-count // 4) * 5:
        return None
    try:
        data = base64.b85decode(line[1:])
    except ValueError:
        return None
    return None if data[count:].strip(b"\0") else data[:count]


def walk_delta(delta: bytes) -> BinaryHunk:
    """The sizes of a delta's source and result, after checking that every copy and insertion keeps to them."""
    source, position = _read_size(delta, 0)
    result, position = _read_size(delta, position)
    if source > RESULT_LIMIT_BYTES or result > RESULT_LIMIT_BYTES:
        raise MalformedHunk("its binary content is too large")
    made = operations = 0
    while position < len(delta):
        operations += 1
        if operations > OPERATIONS_LIMIT or made > result:
            raise MalformedHunk("its delta is longer than any that git makes")
        operation = delta[position]
        position += 1
        if operation & _COPY:
            offset, position = _read_selected(delta, position, operation & 0x0F)
            size, position = _read_selected(delta, position, operation >> 4 & 0x07)
            size = size or _DEFAULT_COPY_BYTES
            if offset + size > source:
                raise MalformedHunk("its delta copies from outside the file")
            made += size
        else:
            made += operation
            position += operation
            if operation == 0 or position > len(delta):
                raise MalformedHunk("its delta is malformed")
    if made != result:
        raise MalformedHunk("its delta makes another size than it says")
    return BinaryHunk(source, result, operations)


def _read_size(delta: bytes, position: int) -> tuple[int, int]:
    size = shift = 0
    while True:
        if position >= len(delta) or shift > 42:
            raise MalformedHunk("its delta is malformed")
        byte = delta[position]
        position += 1
        size |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return size, position


def _read_selected(delta: bytes, position: int, selected: int) -> tuple[int, int]:
    """A little-endian number of which only the selected bytes are written."""
    value = 0
    for index in range(4):
        if selected >> index & 1:
            if position >= len(delta):
                raise MalformedHunk("its delta is malformed")
            value |= delta[position] << 8 * index
            position += 1
    return value, position
