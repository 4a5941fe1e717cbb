"""Connections that a guest has requested and that were not answered yet.

passt up to 2023 answers a refused connection with a RST that acknowledges nothing. RFC 9293 (section 3.5.2) wants the
acknowledgement, and Linux ignores a RST without it: the guest's program would wait for minutes instead of being told
"connection refused". The relay knows the question and completes the answer.
"""

from __future__ import annotations

from typing import Final

from banger.network import frames
from banger.network.policy import ETHERNET_HEADER, TCP

LIMIT: Final = 1024
_ADDRESSES: Final = ETHERNET_HEADER + 12
_PORTS: Final = ETHERNET_HEADER + 20
_SEQUENCE: Final = _PORTS + 4
_FLAGS: Final = _PORTS + 13
_SYN: Final = 0x02
_RST: Final = 0x04
_ACK: Final = 0x10


class Handshakes:
    """The latest SYNs of the guest, at most `LIMIT` of them."""

    def __init__(self) -> None:
        self._expected: dict[bytes, int] = {}

    def note(self, frame: memoryview) -> None:
        """Remember a connection request among the well-formed IPv4 or ARP frames that the guest sends."""
        if frame[12] == 8 and frame[13] == 0 and frame[ETHERNET_HEADER + 9] == TCP:
            if frame[_FLAGS] & (_SYN | _ACK) != _SYN:
                return
            if len(self._expected) >= LIMIT:
                del self._expected[next(iter(self._expected))]
            key = bytes(frame[_ADDRESSES + 4 : _ADDRESSES + 8]) + bytes(frame[_PORTS : _PORTS + 4])
            sequence = int.from_bytes(frame[_SEQUENCE : _SEQUENCE + 4], "big")
            self._expected[key] = (sequence + 1) & 0xFFFFFFFF

    def complete(self, frame: memoryview) -> None:
        """Complete a refusal in a TCP frame for the guest; any other frame stays as it is."""
        flags = frame[_FLAGS]
        if not flags & (_SYN | _RST):
            return
        key = bytes(frame[_ADDRESSES : _ADDRESSES + 4]) + bytes(frame[_PORTS + 2 : _PORTS + 4])
        key += bytes(frame[_PORTS : _PORTS + 2])
        expected = self._expected.pop(key, None)
        if expected is not None and flags & (_RST | _ACK) == _RST:
            frames.acknowledge_in_reset(frame, expected)
