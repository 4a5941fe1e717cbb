"""Bytes of the agent protocol: frames and fields. Pure; see docs/agent-protocol.md."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from banger.core.errors import Failed

VERSION: Final = 1
FRAME_LIMIT: Final = 65536
WINDOW: Final = 262_144
SYNC_HOST: Final = b"banger-sync-host"
SYNC_PEER: Final = b"banger-sync-peer"
NONCE_SIZE: Final = 16
PADDING: Final = 65_552

_HEADER: Final = struct.Struct("<BBHII")
HEADER_SIZE: Final = _HEADER.size
_FIELD: Final = struct.Struct("<BI")
_CHECK: Final = 0xB35A


class FrameType(IntEnum):
    """The types of frames."""

    HELLO = 1
    PING = 2
    PONG = 3
    OPEN = 4
    DATA = 5
    EOF = 6
    WINDOW = 7
    CONTROL = 8
    STARTED = 9
    END = 10
    RESET = 11


class ProtocolViolation(Failed):
    """The guest's agent sent something that the protocol forbids. The guest can no longer be trusted."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"the guest's agent broke the protocol: {what}",
            hint="the guest may be damaged or hostile; delete the VM, or stop and start it",
        )


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame. `channel` is the flags byte."""

    type: FrameType
    channel: int
    stream: int
    payload: bytes


def encode_header(frame_type: int, channel: int, stream: int, length: int) -> bytes:
    """The twelve bytes before a payload."""
    return _HEADER.pack(frame_type, channel, _CHECK ^ frame_type ^ channel << 8, stream, length)


def encode_frame(frame_type: FrameType, stream: int, payload: bytes = b"", *, channel: int = 0) -> bytes:
    """A whole frame."""
    assert len(payload) <= FRAME_LIMIT
    return encode_header(frame_type, channel, stream, len(payload)) + payload


class FrameDecoder:
    """Feed bytes, get frames. Holds less than one frame between calls."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Yield the frames that are complete now; take all of them before feeding again.

        Raises `ProtocolViolation` when the bytes are not frames, after yielding the frames before them.
        """
        source: bytes | bytearray = data
        if self._held:  # growing in place: a frame that comes byte by byte is not copied each time
            self._held += data
            source = self._held
        start, end = 0, len(source)
        try:
            while end - start >= HEADER_SIZE:
                kind, channel, check, stream, length = _HEADER.unpack_from(source, start)
                if check != _CHECK ^ kind ^ channel << 8 or length > FRAME_LIMIT or not 1 <= kind <= FrameType.RESET:
                    raise ProtocolViolation("its frames are out of step")
                after = start + HEADER_SIZE + length
                if after > end:
                    break
                payload = bytes(source[start + HEADER_SIZE : after])
                start = after
                yield Frame(FrameType(kind), channel, stream, payload)
        finally:
            if source is self._held:
                del self._held[:start]
            else:
                self._held += data[start:]


Fields = Sequence[tuple[int, bytes]]


def encode_fields(fields: Fields) -> bytes:
    """Tag, length, value of each field in order."""
    return b"".join(_FIELD.pack(tag, len(value)) + value for tag, value in fields)


def number(value: int) -> bytes:
    """A number as a field's value."""
    return value.to_bytes(8, "little")


def decode_fields(payload: bytes) -> list[tuple[int, bytes]]:
    """The fields of a payload in order. Raises `ProtocolViolation` when they do not fill it exactly."""
    fields: list[tuple[int, bytes]] = []
    start = 0
    while start < len(payload):
        if len(payload) - start < _FIELD.size:
            raise ProtocolViolation("a field is cut short")
        tag, length = _FIELD.unpack_from(payload, start)
        start += _FIELD.size
        if length > len(payload) - start:
            raise ProtocolViolation("a field is longer than its frame")
        fields.append((tag, payload[start : start + length]))
        start += length
    return fields


def find_number(fields: Fields, tag: int) -> int | None:
    """The first number under `tag`, or None. Raises `ProtocolViolation` when it is not a number."""
    for found, value in fields:
        if found == tag:
            if len(value) != 8:
                raise ProtocolViolation("a number has not eight bytes")
            return int.from_bytes(value, "little")
    return None


def find_text(fields: Fields, tag: int, *, limit: int = 1024) -> str:
    """The first text under `tag`, cut at `limit` bytes, or the empty string; still untrusted."""
    for found, value in fields:
        if found == tag:
            return value[:limit].decode("utf-8", "backslashreplace")
    return ""
