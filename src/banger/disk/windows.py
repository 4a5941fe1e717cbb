"""The content of a file in a tree, as a file of its own."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Iterator
from typing import Any, Final

from banger.core.errors import Invalid
from banger.disk.tree import Body

_COPY_BYTES: Final = 256 << 10
_ZEROS: Final = bytes(_COPY_BYTES)


class Window(io.RawIOBase):
    """A part of an open file, read from its start. The file's own position moves; closing the window closes nothing."""

    def __init__(self, body: Body, lock: threading.Lock) -> None:
        """`body` is not a sparse one. Windows of one file that threads read at the same time share a `lock`."""
        super().__init__()
        self._body = body
        self._lock = lock
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._body.length}[whence]
        self._position = max(0, start + offset)
        return self._position

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - there is no type for it before 3.12
        left = max(0, self._body.length - self._position)
        view = memoryview(buffer)[: min(len(buffer), left)]
        with self._lock:
            self._body.source.seek(self._body.offset + self._position)
            data = self._body.source.read(len(view))
        view[: len(data)] = data
        self._position += len(data)
        return len(data)


def open_body(body: Body, lock: threading.Lock) -> io.BufferedReader:
    """A buffered reader of a regular file's content."""
    return io.BufferedReader(Window(body, lock), 256 << 10)


def read_pieces(body: Body, begin: int, limit: int) -> Iterator[tuple[int, bytes]]:
    """The pieces of data between two places of a file; large runs of zeros are left out."""
    place = body.offset
    for start, size in body.extents():
        position, end = max(start, begin), min(start + size, limit)
        body.source.seek(place + position - start)
        while position < end:
            data = body.source.read(min(end - position, _COPY_BYTES))
            if not data:
                raise Invalid(
                    "the archive became shorter while it was read",
                    hint="do not change the archive while it is read, and try again",
                )
            if data != _ZEROS:
                yield position, data
            position += len(data)
        place += size
