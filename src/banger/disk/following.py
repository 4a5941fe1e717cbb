"""The digest of a file while it is written: a thread reads, behind the writer, what will no longer change."""

from __future__ import annotations

import hashlib
import os
import threading
from types import TracebackType
from typing import Final, Self

_PIECE_BYTES: Final = 256 << 10


class FollowingDigest:
    """SHA-256 of a growing file. As a context: nothing runs after it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._hash = hashlib.sha256()
        self._hashed = 0
        self._settled = 0
        self._ended = False
        self._failure: OSError | None = None
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._follow, name="digest")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self._end(self._hashed)

    def settled(self, position: int) -> None:
        """The file's bytes before `position` are final."""
        with self._changed:
            self._settled = position
            self._changed.notify()

    def finish(self, size: int) -> str:
        """The digest of the whole file, which has `size` bytes. Raises `OSError` for what could not be read."""
        self._end(size)
        if self._failure is not None:
            raise self._failure
        return f"sha256:{self._hash.hexdigest()}"

    def _end(self, size: int) -> None:
        with self._changed:
            self._settled = size
            self._ended = True
            self._changed.notify()
        self._thread.join()

    def _follow(self) -> None:
        try:
            while (upto := self._wait()) > self._hashed:
                while self._hashed < upto:
                    data = os.pread(self._descriptor, min(_PIECE_BYTES, upto - self._hashed), self._hashed)
                    if not data:
                        raise OSError("the image became shorter while it was written")
                    self._hash.update(data)
                    self._hashed += len(data)
        except OSError as error:
            self._failure = error

    def _wait(self) -> int:
        """Up to where the file is final; where that is not beyond what was hashed, it is all there is."""
        with self._changed:
            while self._settled <= self._hashed and not self._ended:
                self._changed.wait()
            return self._settled
