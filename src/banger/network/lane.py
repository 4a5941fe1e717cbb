"""One direction of the wire: frames are read from one stream socket, judged, and written to another.

The framing is QEMU's for `-netdev stream` and passt's alike: a length of four bytes, big-endian, then the frame.
What may pass goes from the read buffer to the other socket without a copy, many frames in one system call. While the
other side does not take it, reading goes on until the buffer is full: then the sender waits, and memory stays bounded.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Final

from banger.network.policy import ETHERNET_HEADER, FRAME_LIMIT

LENGTH_SIZE: Final = 4
BUFFER_BYTES: Final = 4 << 20  # touched only as far as a burst fills it
_ROOM_BYTES: Final = 256 << 10
INJECTED_LIMIT: Final = 256
_CHUNKS_AT_ONCE: Final = 512  # below IOV_MAX


class BrokenFraming(Exception):
    """The peer sent a length that no frame has. Nothing after it can be trusted."""


class Lane:
    """Frames from `source` to `sink`. `admit` sees each one, may change it in place, and says whether it passes."""

    def __init__(self, *, source: socket.socket, sink: socket.socket, admit: Callable[[memoryview], bool]) -> None:
        self._source = source
        self._sink = sink
        self._admit = admit
        self._buffer = memoryview(bytearray(BUFFER_BYTES))
        self._filled = 0
        self._parsed = 0
        self._pending: list[memoryview | bytes] = []
        self._injected = 0
        self.seen_bytes = 0  # of frames, whatever became of them

    @property
    def blocked(self) -> bool:
        """Whether the sink has not taken everything yet."""
        return bool(self._pending)

    @property
    def has_room(self) -> bool:
        """Whether more can be read. A lane that is not blocked always has room."""
        return len(self._buffer) - self._filled >= _ROOM_BYTES

    def read(self) -> bool:
        """Read, judge and pass on what has arrived. False at the end of the stream. Raises `BrokenFraming`."""
        try:
            count = self._source.recv_into(self._buffer[self._filled :])
        except (BlockingIOError, InterruptedError):
            return True
        if count == 0:
            return False
        self._filled += count
        self._sort()
        self.flush()
        return True

    def inject(self, frame: bytes) -> None:
        """Send a frame of our own; dropped, as on any wire, when too many wait."""
        if self._injected < INJECTED_LIMIT:
            self._injected += 1
            self.seen_bytes += len(frame)
            self._pending.append(len(frame).to_bytes(LENGTH_SIZE, "big") + frame)

    def flush(self) -> None:
        """Write waiting frames, as far as the sink takes them."""
        try:
            while self._pending:
                self._written(self._sink.sendmsg(self._pending[:_CHUNKS_AT_ONCE]))
        except (BlockingIOError, InterruptedError):
            return
        self._injected = 0
        rest = self._filled - self._parsed
        if rest and self._parsed:
            self._buffer[:rest] = bytes(self._buffer[self._parsed : self._filled])
        self._filled, self._parsed = rest, 0

    def _written(self, count: int) -> None:
        done = 0
        for chunk in self._pending:
            if count < len(chunk):
                break
            count -= len(chunk)
            done += 1
        del self._pending[:done]
        if count:
            self._pending[0] = memoryview(self._pending[0])[count:]

    def _sort(self) -> None:
        """Cut the buffer into frames; runs of neighbours that pass become one chunk."""
        buffer, position, end = self._buffer, self._parsed, self._filled
        run = position
        seen = 0
        while end - position >= LENGTH_SIZE:
            size = int.from_bytes(buffer[position : position + LENGTH_SIZE], "big")
            if not ETHERNET_HEADER <= size <= FRAME_LIMIT:
                raise BrokenFraming(f"a frame of {size} bytes")
            after = position + LENGTH_SIZE + size
            if after > end:
                break
            if not self._admit(buffer[position + LENGTH_SIZE : after]):
                if run < position:
                    self._pending.append(buffer[run:position])
                run = after
            seen += size
            position = after
        if run < position:
            self._pending.append(buffer[run:position])
        self._parsed = position
        self.seen_bytes += seen
