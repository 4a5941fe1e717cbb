"""An EROFS image as an open file: inodes decoded one by one, and contents that are in two places read as one."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import BinaryIO, Final

from banger.disk.addresses import AddressedFile
from banger.disk.erofs_format import BLOCK, FILE_TYPES, INODE, META_BLOCK, SLOT, XATTR_HEADER, choose_tail

# An address of a content in two places: a bit that no offset has, the inode's number, and how far into the content.
_SPLIT: Final = 1 << 63
_POSITION_BITS: Final = 36
NID_LIMIT: Final = 1 << 27
SIZE_LIMIT: Final = 1 << _POSITION_BITS


class Damaged(Exception):
    """The file is not an image from our writer."""


@dataclass(frozen=True, slots=True)
class Content:
    """Where the content of an inode is: its first bytes in blocks, the others beside it."""

    size: int
    full: int
    block: int
    tail_at: int

    @property
    def blocks_at(self) -> int:
        return self.block * BLOCK


@dataclass(frozen=True, slots=True)
class Inode:
    """A decoded inode."""

    offset: int
    layout: int
    xattr_bytes: int
    mode: int
    size: int
    place: int
    number: int
    uid: int
    gid: int
    mtime_s: int
    mtime_ns: int
    links: int

    @property
    def kind(self) -> int:
        return stat.S_IFMT(self.mode)

    @property
    def head(self) -> int:
        return INODE.size + self.xattr_bytes

    @property
    def content(self) -> Content:
        """Where the content is, if there is one."""
        tail = choose_tail(self.size, self.head)
        return Content(self.size, self.size - tail, self.place, self.offset + self.head)


class ImageFile(AddressedFile):
    """An image, with addresses for contents that are in two places. For one reader."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self._file = file
        self.size = file.seek(0, os.SEEK_END)
        self._split: tuple[int, Content] | None = None

    def fetch(self, address: int, size: int) -> bytes:
        return self._read_split(address, size) if address & _SPLIT else self.at(address, size)

    def at(self, offset: int, size: int) -> bytes:
        """Bytes at an offset of the file; fewer at its end."""
        self._file.seek(offset)
        return self._file.read(size)

    def exactly(self, offset: int, size: int) -> bytes:
        """All of the bytes at an offset. Raises `Damaged` where the file ends before them."""
        data = self.at(offset, size)
        if len(data) != size:
            raise Damaged("the image ends too early")
        return data

    def _read_split(self, address: int, size: int) -> bytes:
        nid = address >> _POSITION_BITS & NID_LIMIT - 1
        position = address & (1 << _POSITION_BITS) - 1
        if self._split is None or self._split[0] != nid:
            offset = offset_of(nid)
            self._split = nid, decode_inode(offset, self.exactly(offset, INODE.size)).content
        content = self._split[1]
        end = min(position + size, content.size)
        data = b""
        if position < content.full:
            data = self.at(content.blocks_at + position, min(end, content.full) - position)
            position = min(end, content.full)
        if position < end:
            data += self.at(content.tail_at + position - content.full, end - position)
        return data


def offset_of(nid: int) -> int:
    """The offset of an inode in the image."""
    return META_BLOCK * BLOCK + nid * SLOT


def address_of(found: Inode) -> int:
    """Where a content begins, in the addresses of `ImageFile`."""
    content = found.content
    if content.full == content.size:
        return content.blocks_at
    if not content.full:
        return content.tail_at
    return _SPLIT | (found.offset - META_BLOCK * BLOCK) // SLOT << _POSITION_BITS


def decode_inode(offset: int, raw: bytes) -> Inode:
    """Decode an inode. Raises `Damaged` if our writer would not have written it."""
    fields = INODE.unpack(raw)
    layout, units, mode, reserved, size, place, number, uid, gid, seconds, nanoseconds, links = fields
    if INODE.pack(*fields) != raw or reserved or nanoseconds >= 1_000_000_000 or stat.S_IFMT(mode) not in FILE_TYPES:
        raise Damaged("an inode is not as it was written")
    return Inode(
        offset=offset,
        layout=layout,
        xattr_bytes=len(XATTR_HEADER) + 4 * (units - 1) if units else 0,
        mode=mode,
        size=size,
        place=place,
        number=number,
        uid=uid,
        gid=gid,
        mtime_s=seconds - (1 << 64) if seconds >> 63 else seconds,
        mtime_ns=nanoseconds,
        links=links,
    )
