"""Writing EROFS images: uncompressed, with exact owners, modes, times, extended attributes, links and devices.

The format is the kernel's (fs/erofs/erofs_fs.h, Documentation/filesystems/erofs.rst). Layout of an image: block 0 with
the superblock, then all inodes with their attributes and short tails, then the blocks of data. The same tree always
gives the same bytes.
"""

from __future__ import annotations

import hashlib
import stat
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, Final

from banger.core.errors import Invalid
from banger.core.untrusted import printable
from banger.disk.tree import Node

BLOCK: Final = 4096
_SUPERBLOCK_OFFSET: Final = 1024
_MAGIC: Final = 0xE0F5E1E2
_COMPAT_CHECKSUM: Final = 1
_COMPAT_MTIME: Final = 2  # times in inodes are modification times
_SUPERBLOCK: Final = struct.Struct("<IIIBBHQQIIII16s16sIHHHBBIQB23x")
_INODE: Final = struct.Struct("<HHHHQIIIIQII16x")
_DIRENT: Final = struct.Struct("<QHBx")
_XATTR_HEADER: Final = bytes(12)
_FLAT_PLAIN: Final = 0 << 1
_FLAT_INLINE: Final = 2 << 1
_EXTENDED: Final = 1
_META_BLOCK: Final = 1
_SLOT: Final = 32
_FILE_TYPES: Final = {
    stat.S_IFREG: 1,
    stat.S_IFDIR: 2,
    stat.S_IFCHR: 3,
    stat.S_IFBLK: 4,
    stat.S_IFIFO: 5,
    stat.S_IFSOCK: 6,
    stat.S_IFLNK: 7,
}
_XATTR_PREFIXES: Final = (
    (b"user.", 1),
    (b"system.posix_acl_access", 2),
    (b"system.posix_acl_default", 3),
    (b"trusted.", 4),
    (b"security.", 6),
)
_COPY_BYTES: Final = 1 << 20
_META_BUFFER_BYTES: Final = 1 << 20
_SHORTER: Final = "the archive became shorter while its image was written"
_SHORTER_HINT: Final = "do not change the archive meanwhile, and try again"


@dataclass(slots=True, eq=False)
class _Inode:
    """Where a node goes."""

    node: Node
    number: int
    size: int
    xattrs: bytes
    parent: _Inode | None
    subdirectories: int = 0
    offset: int = 0
    inline: int = 0
    first_block: int = 0
    names: list[bytes] = field(default_factory=list)

    @property
    def nid(self) -> int:
        return (self.offset - _META_BLOCK * BLOCK) // _SLOT

    @property
    def blocks(self) -> int:
        return -(-(self.size - self.inline) // BLOCK) if self.size > self.inline else 0


class _Metadata:
    """The area of inodes, written from front to back in large pieces while data goes elsewhere in the same file."""

    def __init__(self, output: BinaryIO) -> None:
        self._output = output
        self._begin = _META_BLOCK * BLOCK
        self._pending = bytearray()
        self._digest = hashlib.sha256()

    def add(self, offset: int, data: bytes) -> None:
        """Bytes at `offset` of the image, which is not before the end of the bytes added earlier."""
        self._pending += bytes(offset - self._begin - len(self._pending))
        self._pending += data
        if len(self._pending) >= _META_BUFFER_BYTES:
            self.flush()

    def flush(self) -> bytes:
        """Write what is pending; the digest of the area so far."""
        self._output.seek(self._begin)
        self._output.write(self._pending)
        self._begin += len(self._pending)
        self._digest.update(self._pending)
        self._pending = bytearray()
        return self._digest.digest()


def write_erofs(root: Node, output: BinaryIO, *, report: Callable[[int], None] = lambda _bytes: None) -> int:
    """Write the image of a tree to an empty seekable file and return its size in bytes.

    `report` is told the bytes of file content written so far. Raises `Invalid` for what the format cannot hold.
    """
    inodes = _number_inodes(root)
    meta_end = _place_inodes(inodes.values())
    block = -(-meta_end // BLOCK)
    for inode in inodes.values():
        if inode.blocks:
            inode.first_block = block
            block += inode.blocks
    if block >= 1 << 32:
        raise Invalid("the file system would be larger than 16 TiB")
    meta = _Metadata(output)
    written = 0
    for inode in inodes.values():
        meta.add(inode.offset, _encode_inode(inode) + inode.xattrs)
        if inode.size:
            _write_content(inode, inodes, meta, output)
        if inode.node.body is not None:
            written += inode.size
            report(written)
    uuid = meta.flush()[:16]
    output.truncate(block * BLOCK)
    output.seek(0)
    output.write(_superblock(inodes[id(root)], len(inodes), block, uuid))
    return block * BLOCK


def _number_inodes(root: Node) -> dict[int, _Inode]:
    """One `_Inode` a node, by its id, the root first and each after its directory; hard links share one."""
    inodes: dict[int, _Inode] = {}
    waiting: list[tuple[Node, _Inode | None]] = [(root, None)]
    while waiting:
        node, parent = waiting.pop()
        if id(node) in inodes:
            continue
        inode = _Inode(node=node, number=len(inodes) + 1, size=0, xattrs=_encode_xattrs(node), parent=parent)
        inodes[id(node)] = inode
        if node.is_directory:
            inode.names = sorted([b".", b"..", *node.children])
            inode.size = _directory_size(inode.names)
            if parent is not None:
                parent.subdirectories += 1
            waiting += [(node.children[name], inode) for name in reversed(inode.names) if name in node.children]
        elif node.is_symlink:
            inode.size = len(node.target)
        elif node.body is not None:
            inode.size = node.body.length
    return inodes


def _place_inodes(inodes: Iterable[_Inode]) -> int:
    """Give every inode its offset and return the end of the metadata.

    A short tail goes beside its inode, and then both must be within one block.
    """
    offset = _META_BLOCK * BLOCK
    for inode in inodes:
        head = _INODE.size + len(inode.xattrs)
        tail = inode.size % BLOCK
        offset = -(-offset // _SLOT) * _SLOT
        inode.inline = tail if tail and head + tail <= BLOCK // 2 else 0
        if offset % BLOCK + head + inode.inline > BLOCK:
            offset = -(-offset // BLOCK) * BLOCK
        inode.offset = offset
        offset += head + inode.inline
    return offset


def _write_content(inode: _Inode, inodes: dict[int, _Inode], meta: _Metadata, output: BinaryIO) -> None:
    node = inode.node
    tail_at = inode.offset + _INODE.size + len(inode.xattrs)
    if node.body is not None:
        _copy_body(inode, meta, tail_at, output)
        return
    content = _encode_directory(inode, inodes) if node.is_directory else node.target
    full = len(content) - inode.inline
    if full:
        output.seek(inode.first_block * BLOCK)
        output.write(content[:full])
    meta.add(tail_at, content[full:])


def _copy_body(inode: _Inode, meta: _Metadata, tail_at: int, output: BinaryIO) -> None:
    body = inode.node.body
    assert body is not None
    body.source.seek(body.offset)
    left = body.length - inode.inline
    if left:
        output.seek(inode.first_block * BLOCK)
    while left:
        data = body.source.read(min(left, _COPY_BYTES))
        if not data:
            raise Invalid(_SHORTER, hint=_SHORTER_HINT)
        output.write(data)
        left -= len(data)
    if inode.inline:
        tail = body.source.read(inode.inline)
        if len(tail) != inode.inline:
            raise Invalid(_SHORTER, hint=_SHORTER_HINT)
        meta.add(tail_at, tail)


def _encode_inode(inode: _Inode) -> bytes:
    node = inode.node
    layout = _FLAT_INLINE if inode.inline else _FLAT_PLAIN
    place = inode.first_block
    if stat.S_ISCHR(node.mode) or stat.S_ISBLK(node.mode):
        major, minor = node.device
        place = (minor & 0xFF) | major << 8 | (minor & ~0xFF) << 12
    return _INODE.pack(
        _EXTENDED | layout,
        (len(inode.xattrs) - len(_XATTR_HEADER)) // 4 + 1 if inode.xattrs else 0,
        node.mode,
        0,
        inode.size,
        place,
        inode.number,
        node.uid,
        node.gid,
        node.mtime_s & 0xFFFF_FFFF_FFFF_FFFF,
        node.mtime_ns,
        2 + inode.subdirectories if node.is_directory else node.links,
    )


def _encode_xattrs(node: Node) -> bytes:
    if not node.xattrs:
        return b""
    parts = [_XATTR_HEADER]
    for name, value in sorted(node.xattrs.items()):
        prefix, index = _find_prefix(name)
        rest = name.removeprefix(prefix)
        if len(rest) > 255 or len(value) > 65535:
            raise Invalid(f"the extended attribute {printable(name, limit=80)} is too large")
        entry = struct.pack("<BBH", len(rest), index, len(value)) + rest + value
        parts.append(entry + bytes(-len(entry) % 4))
    encoded = b"".join(parts)
    if len(encoded) > BLOCK - _INODE.size:
        raise Invalid("a file has more extended attributes than fit beside its inode")
    return encoded


def _find_prefix(name: bytes) -> tuple[bytes, int]:
    for prefix, index in _XATTR_PREFIXES:
        if name.startswith(prefix):
            return prefix, index
    raise Invalid(f"an extended attribute has the name {printable(name, limit=80)}, which no file system keeps")


def _directory_blocks(names: list[bytes]) -> Iterator[list[bytes]]:
    block: list[bytes] = []
    used = 0
    for name in names:
        if used + _DIRENT.size + len(name) > BLOCK:
            yield block
            block, used = [], 0
        block.append(name)
        used += _DIRENT.size + len(name)
    yield block


def _directory_size(names: list[bytes]) -> int:
    blocks = list(_directory_blocks(names))
    return (len(blocks) - 1) * BLOCK + sum(_DIRENT.size + len(name) for name in blocks[-1])


def _encode_directory(inode: _Inode, inodes: dict[int, _Inode]) -> bytes:
    above = inode.parent or inode
    encoded = bytearray()
    for names in _directory_blocks(inode.names):
        encoded += bytes(-len(encoded) % BLOCK)
        name_at = len(names) * _DIRENT.size
        for name in names:
            if name == b".":
                entry = inode
            elif name == b"..":
                entry = above
            else:
                entry = inodes[id(inode.node.children[name])]
            encoded += _DIRENT.pack(entry.nid, name_at, _FILE_TYPES[stat.S_IFMT(entry.node.mode)])
            name_at += len(name)
        encoded += b"".join(names)
    return bytes(encoded)


def _superblock(root: _Inode, inode_count: int, blocks: int, uuid: bytes) -> bytes:
    """Block 0. Its checksum is CRC-32C over the block from the superblock on, with the field itself zero."""

    def pack(checksum: int) -> bytes:
        fields = _SUPERBLOCK.pack(
            _MAGIC,
            checksum,
            _COMPAT_CHECKSUM | _COMPAT_MTIME,
            BLOCK.bit_length() - 1,
            0,  # no extension slots
            root.nid,
            inode_count,
            0,  # build time: the same tree gives the same bytes
            0,
            blocks,
            _META_BLOCK,
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
        return (bytes(_SUPERBLOCK_OFFSET) + fields).ljust(BLOCK, b"\0")

    return pack(crc32c(pack(0)[_SUPERBLOCK_OFFSET:]))


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
