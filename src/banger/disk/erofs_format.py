"""The format of EROFS images as far as we write it (the kernel's fs/erofs/erofs_fs.h, filesystems/erofs.rst).

Layout of an image: block 0 with the superblock, then all inodes with their attributes and short tails, then the blocks
of data.
"""

from __future__ import annotations

import stat
import struct
from typing import Final

BLOCK: Final = 4096
META_BLOCK: Final = 1
SLOT: Final = 32  # inodes are numbered by the place where they begin, in units of this
INODE: Final = struct.Struct("<HHHHQIIIIQII16x")
DIRENT: Final = struct.Struct("<QHBx")
XATTR: Final = struct.Struct("<BBH")
XATTR_HEADER: Final = bytes(12)
PLAIN: Final = 1 | 0 << 1  # an extended inode whose content is in blocks of its own
INLINE: Final = 1 | 2 << 1  # one whose last bytes, less than a block, are beside it
FILE_TYPES: Final = {
    stat.S_IFREG: 1,
    stat.S_IFDIR: 2,
    stat.S_IFCHR: 3,
    stat.S_IFBLK: 4,
    stat.S_IFIFO: 5,
    stat.S_IFSOCK: 6,
    stat.S_IFLNK: 7,
}
XATTR_PREFIXES: Final = (
    (b"user.", 1),
    (b"system.posix_acl_access", 2),
    (b"system.posix_acl_default", 3),
    (b"trusted.", 4),
    (b"security.", 6),
)
SUPERBLOCK_OFFSET: Final = 1024
SUPERBLOCK: Final = struct.Struct("<IIIBBHQQIIII16s16sIHHHBBIQB23x")
_MAGIC: Final = 0xE0F5E1E2
_COMPAT_CHECKSUM: Final = 1
_COMPAT_MTIME: Final = 2  # times in inodes are modification times


def count_blocks(size: int) -> int:
    """How many blocks `size` bytes take."""
    return -(-size // BLOCK)


def align_slot(offset: int) -> int:
    """The next place where an inode may begin."""
    return -(-offset // SLOT) * SLOT


def choose_tail(size: int, head: int) -> int:
    """How many bytes at the end of a content go beside an inode whose head has `head` bytes."""
    tail = size % BLOCK
    return tail if head + tail <= BLOCK // 2 else 0


def encode_device(major: int, minor: int) -> int:
    """As the kernel's `new_encode_dev`."""
    return (minor & 0xFF) | major << 8 | (minor & ~0xFF) << 12


def decode_device(number: int) -> tuple[int, int]:
    """Major and minor number."""
    return number >> 8 & 0xFFF, (number & 0xFF) | (number >> 12 & 0xFFF00)


def encode_superblock(inode_count: int, blocks: int, uuid: bytes) -> bytes:
    """Block 0, for a root that is the first inode.

    Its checksum is CRC-32C over the block from the superblock on, with the field itself zero.
    """

    def pack(checksum: int) -> bytes:
        fields = SUPERBLOCK.pack(
            _MAGIC,
            checksum,
            _COMPAT_CHECKSUM | _COMPAT_MTIME,
            BLOCK.bit_length() - 1,
            0,  # no extension slots
            0,  # the root's number
            inode_count,
            0,  # build time: the same tree gives the same bytes
            0,
            blocks,
            META_BLOCK,
            0,  # no shared attributes
            uuid,
            b"",
            0,  # no incompatible features
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
        )
        return (bytes(SUPERBLOCK_OFFSET) + fields).ljust(BLOCK, b"\0")

    return pack(crc32c(pack(0)[SUPERBLOCK_OFFSET:]))


def _crc_table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)  # noqa: PLW2901 - the table's own recurrence
        table.append(value)
    return tuple(table)


_CRC_TABLE: Final = _crc_table()


def crc32c(data: bytes) -> int:
    """CRC-32C (RFC 3720, appendix B.4) without the final inversion, as the kernel's `crc32c(~0, ...)` gives it."""
    crc = 0xFFFF_FFFF
    for byte in data:
        crc = crc >> 8 ^ _CRC_TABLE[(crc ^ byte) & 0xFF]
    return crc
