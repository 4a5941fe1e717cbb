"""How much a guest has sent and received: counted by the relay, in a file that can be read at any time.

Two numbers of eight bytes in the machine's own order: bytes of Ethernet frames from the guest, and to it. Standard
library only, for the relay's sake.
"""

from __future__ import annotations

import mmap
import os
import struct
from pathlib import Path
from typing import Final, NamedTuple

_NUMBERS: Final = struct.Struct("=QQ")


class Traffic(NamedTuple):
    """Bytes of frames that a guest sent, whether they were let through or not, and that came to it."""

    sent_bytes: int
    received_bytes: int


class TrafficMeter:
    """The file as the relay writes it; it costs no system call."""

    def __init__(self, descriptor: int) -> None:
        os.ftruncate(descriptor, _NUMBERS.size)
        self._numbers = memoryview(mmap.mmap(descriptor, _NUMBERS.size)).cast("Q")

    def show(self, traffic: Traffic) -> None:
        """Write the current counts."""
        self._numbers[0], self._numbers[1] = traffic


def read_traffic(path: Path) -> Traffic | None:
    """What the relay has counted; None where none does."""
    try:
        return Traffic(*_NUMBERS.unpack(path.read_bytes()))
    except (OSError, struct.error):
        return None
