"""A little reserved space: on a completely full disk, stopping and deleting VMs,
which is how one gets space, still has to be written down first.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

RESERVE_BYTES: Final = 1 << 20
_AGAIN_S: Final = 5.0


class Reserve:
    """A file that reserves space. Belongs to one thread."""

    def __init__(self, path: Path, *, size_bytes: int = RESERVE_BYTES) -> None:
        self._path = path
        self._size_bytes = size_bytes
        self._tried_s = -_AGAIN_S
        self._held = False

    def keep(self) -> None:
        """Reserve the space unless that is done; if the disk has none, it is tried again later."""
        if self._held or time.monotonic() < self._tried_s + _AGAIN_S:
            return
        self._tried_s = time.monotonic()
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                os.posix_fallocate(descriptor, 0, self._size_bytes)
            finally:
                os.close(descriptor)
            self._held = True
        except OSError:
            self._path.unlink(missing_ok=True)

    def release(self) -> bool:
        """Release the space. False when none was reserved."""
        self._held = False
        self._tried_s = time.monotonic()
        with suppress(OSError):
            self._path.unlink()
            return True
        return False
