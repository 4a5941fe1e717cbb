"""A file object that is read by address."""

from __future__ import annotations

import io
import os
from typing import Any


class AddressedFile(io.RawIOBase):
    """Reads from the address that `seek` chose. The subclass defines what an address means. For one reader."""

    def __init__(self) -> None:
        super().__init__()
        self._address = 0

    def fetch(self, address: int, size: int) -> bytes:
        """At most `size` bytes from an address on; fewer only at the end of the content there."""
        raise NotImplementedError

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        assert whence == os.SEEK_SET
        self._address = offset
        return offset

    def read(self, size: int | None = -1, /) -> bytes:
        assert size is not None
        data = self.fetch(self._address, size)
        self._address += len(data)
        return data

    def readinto(self, buffer: Any, /) -> int:  # noqa: ANN401 - there is no type for it before 3.12
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)
