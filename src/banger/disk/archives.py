"""Many open files as one: the unpacked archives of an image's layers."""

from __future__ import annotations

from typing import BinaryIO, Final

from banger.disk.addresses import AddressedFile

_OFFSET_BITS: Final = 52  # the rest of 64 bits says which file


class Archives(AddressedFile):
    """Files, each at addresses of its own. For one reader."""

    def __init__(self) -> None:
        super().__init__()
        self._files: list[BinaryIO] = []

    def add(self, file: BinaryIO) -> int:
        """Take over a file. Returns the address of its first byte."""
        self._files.append(file)
        return (len(self._files) - 1) << _OFFSET_BITS

    def close(self) -> None:
        """Close the files too."""
        for file in self._files:
            file.close()
        super().close()

    def fetch(self, address: int, size: int) -> bytes:
        """Bytes of one file, at most `size`; fewer only at its end."""
        file = self._files[address >> _OFFSET_BITS]
        file.seek(address & (1 << _OFFSET_BITS) - 1)
        return file.read(size)
