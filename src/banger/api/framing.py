"""Frames of a stream exchange: one byte of type, four of length (big-endian), then so many bytes.

client to daemon: REQUEST (JSON, first and once), INPUT, INPUT_END, CONTROL (JSON)
daemon to client: EVENT (JSON), OUTPUT, ERROR_OUTPUT, WINDOW, then one RESULT or ERROR (JSON)

INPUT is counted: the client may send `INPUT_WINDOW` bytes, and then as many more as each WINDOW frame (four bytes,
big-endian) says. The daemon therefore never has to stop reading, and always sees a client that hangs up.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

REQUEST: Final = ord("Q")
INPUT: Final = ord("I")
INPUT_END: Final = ord("E")
CONTROL: Final = ord("C")
EVENT: Final = ord("P")
OUTPUT: Final = ord("1")
ERROR_OUTPUT: Final = ord("2")
RESULT: Final = ord("X")
ERROR: Final = ord("!")
WINDOW: Final = ord("W")

INPUT_WINDOW: Final = 262_144
TYPES: Final = frozenset((WINDOW, REQUEST, INPUT, INPUT_END, CONTROL, EVENT, OUTPUT, ERROR_OUTPUT, RESULT, ERROR))
FRAME_LIMIT: Final = 1 << 20
_HEADER: Final = struct.Struct(">BI")


class FramingError(ValueError):
    """The other side sent bytes that are no frames."""


def encode_frame(frame_type: int, payload: bytes = b"") -> bytes:
    """One frame. The payload may have at most `FRAME_LIMIT` bytes."""
    assert len(payload) <= FRAME_LIMIT
    return _HEADER.pack(frame_type, len(payload)) + payload


class FrameDecoder:
    """Feed bytes, get whole frames. Holds at most one frame's bytes beyond what was just fed."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield (type, payload) of each complete frame. Raises `FramingError` for unknown types and excess length."""
        self._buffer += data
        start = 0
        try:
            while len(self._buffer) - start >= _HEADER.size:
                frame_type, length = _HEADER.unpack_from(self._buffer, start)
                if frame_type not in TYPES or length > FRAME_LIMIT:
                    raise FramingError(f"a frame of type {frame_type} and {length} bytes is not part of the protocol")
                end = start + _HEADER.size + length
                if len(self._buffer) < end:
                    return
                payload = bytes(self._buffer[start + _HEADER.size : end])
                start = end
                yield frame_type, payload
        finally:
            del self._buffer[:start]
