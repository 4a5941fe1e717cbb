"""Many open files as one: where the unpacked archives of an image's layers are."""

from __future__ import annotations

import io
import os
from typing import Any, BinaryIO, Final

_OFFSET_BITS: Final = 52  # the rest of 64 bits says which file


class Archives(io.RawIOBase):
    """Files, each at addresses of its own. For one reader."""

    def __init__(self) -> None:
        super().__init__()
        self._files: list[BinaryIO] = []
        self._address = 0

    def add(self, file: BinaryIO) -> int:
        """Take a file over; the address of its first byte."""
        self._files.append(file)
        return (len(self._files) - 1) << _OFFSET_BITS

    def close(self) -> None:
        """Close the files too."""
        for file in self._files:
            file.close()
        super().close()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        assert whence == os.SEEK_SET
        self._address = offset
        return offset

    def read(self, size: int | None = -1, /) -> bytes:
        """Bytes of one file, at most `size`; fewer only at its end."""
        assert size is not None
        file = self._files[self._address >> _OFFSET_BITS]
        file.seek(self._address & (1 << _OFFSET_BITS) - 1)
        data = file.read(size)
        self._address += len(data)
        return data

    def readinto(self, buffer: Any, /) -> int:  # noqa: ANN401 - there is no type for it before 3.12
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)
