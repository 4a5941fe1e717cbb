"""Writing EROFS images: uncompressed, with exact owners, modes, times, extended attributes, links and devices.

The format is the kernel's (fs/erofs/erofs_fs.h, Documentation/filesystems/erofs.rst). Layout of an image: block 0 with
the superblock, then all inodes with their attributes and short tails, then the blocks of data. The same tree always
gives the same bytes.
"""

from __future__ import annotations

import hashlib
import stat
import struct
from array import array
from collections.abc import Callable, Iterator
from typing import BinaryIO, Final

from banger.core.errors import Invalid
from banger.core.untrusted import printable
from banger.disk.tree import ROOT, Body, Tree

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


class _Output:
    """The image, of which metadata and data grow in turns, each from front to back."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._position = 0

    def write(self, offset: int, data: bytes | bytearray) -> None:
        """Bytes at `offset`. What is between them and those before, if it is less than a block, is nobody's."""
        gap = offset - self._position
        if 0 < gap < BLOCK:
            self._file.write(bytes(gap))  # quicker than to seek, for which a file gives its buffer up
        elif gap:
            self._file.seek(offset)
        self._file.write(data)
        self._position = offset + len(data)


class _Metadata:
    """The area of inodes, written from front to back in large pieces while data goes elsewhere in the same file."""

    def __init__(self, output: _Output) -> None:
        self._output = output
        self._begin = _META_BLOCK * BLOCK
        self._pending = bytearray()
        self._digest = hashlib.sha256()

    def add(self, offset: int, data: bytes | bytearray) -> None:
        """Bytes at `offset` of the image, which is not before the end of the bytes added earlier."""
        self._pending += bytes(offset - self._begin - len(self._pending))
        self._pending += data
        if len(self._pending) >= _META_BUFFER_BYTES:
            self.flush()

    def flush(self) -> bytes:
        """Write what is pending; the digest of the area so far."""
        self._output.write(self._begin, self._pending)
        self._begin += len(self._pending)
        self._digest.update(self._pending)
        self._pending = bytearray()
        return self._digest.digest()


class _Layout:
    """Which inodes there are, and where each of them and its data goes. In flat arrays by the inode, as the tree is."""

    def __init__(self, tree: Tree, root: int) -> None:
        self.tree = tree
        self.root = root
        self.order = array("I")
        self.number = array("I", bytes(4 * tree.inode_limit))  # from 1; 0 for what is not part of the image
        self.subdirectories = array("I", bytes(4 * tree.inode_limit))
        self.first_block = array("I", bytes(4 * tree.inode_limit))
        self._size = array("Q", bytes(8 * tree.inode_limit))
        self._nid = array("I", bytes(4 * tree.inode_limit))
        self._collect()
        self.blocks = self._place()

    def offset(self, inode: int) -> int:
        """Where an inode is in the image."""
        return _META_BLOCK * BLOCK + self._nid[inode] * _SLOT

    def size(self, inode: int) -> int:
        return self._size[inode]

    def inline(self, inode: int, head: int) -> int:
        """How many bytes at the end of the content go beside the inode, whose head takes so many bytes."""
        tail = self._size[inode] % BLOCK
        return tail if head + tail <= BLOCK // 2 else 0

    def names(self, directory: int) -> Iterator[tuple[bytes, int]]:
        """Names and inodes in the order of the names' bytes, with the two that no tree has."""
        tree = self.tree
        above = tree.parent(directory) if directory != self.root else directory
        dots = [(b"..", above), (b".", directory)]
        for entry in tree.entries.sort(directory):
            name = tree.entries.name(entry)
            while dots and dots[-1][0] < name:
                yield dots.pop()
            yield name, tree.entries.inode[entry]
        yield from reversed(dots)

    def encode_directory(self, directory: int) -> Iterator[bytes]:
        """The blocks of a directory, not padded."""
        names: list[bytes] = []
        targets: list[int] = []
        used = 0
        for name, inode in self.names(directory):
            if used + _DIRENT.size + len(name) > BLOCK:
                yield self._encode_block(names, targets)
                names, targets, used = [], [], 0
            names.append(name)
            targets.append(inode)
            used += _DIRENT.size + len(name)
        yield self._encode_block(names, targets)

    def _encode_block(self, names: list[bytes], targets: list[int]) -> bytes:
        name_at = len(names) * _DIRENT.size
        entries = bytearray()
        for name, inode in zip(names, targets, strict=True):
            entries += _DIRENT.pack(self._nid[inode], name_at, _FILE_TYPES[stat.S_IFMT(self.tree.mode(inode))])
            name_at += len(name)
        return bytes(entries) + b"".join(names)

    def _collect(self) -> None:
        """Number the inodes: the root first, each after its directory, hard links where they are first met."""
        tree, number = self.tree, self.number
        waiting = array("I", (self.root,))
        while waiting:
            inode = waiting.pop()
            if number[inode]:
                continue
            self.order.append(inode)
            number[inode] = len(self.order)
            if tree.is_directory(inode):
                children = self._measure(inode)
                children.reverse()
                waiting.extend(children)
            else:
                self._size[inode] = tree.size(inode)

    def _measure(self, directory: int) -> array[int]:
        """Find out how large a directory is; the inodes in it, in their order."""
        children = array("I")
        full, used, subdirectories = 0, 0, 0
        for name, inode in self.names(directory):
            if used + _DIRENT.size + len(name) > BLOCK:
                full, used = full + 1, 0
            used += _DIRENT.size + len(name)
            if name not in (b".", b".."):
                children.append(inode)
                subdirectories += self.tree.is_directory(inode)
        self._size[directory] = full * BLOCK + used
        self.subdirectories[directory] = subdirectories
        return children

    def _place(self) -> int:
        """Give every inode its place and its data blocks; how many blocks the image has.

        A short tail goes beside its inode, and then both must be within one block.
        """
        offset = _META_BLOCK * BLOCK
        for inode in self.order:
            head = _INODE.size + len(_encode_xattrs(self.tree, inode))
            offset = -(-offset // _SLOT) * _SLOT
            inline = self.inline(inode, head)
            if offset % BLOCK + head + inline > BLOCK:
                offset = -(-offset // BLOCK) * BLOCK
            self._nid[inode] = (offset - _META_BLOCK * BLOCK) // _SLOT
            offset += head + inline
            self.first_block[inode] = _blocks(self._size[inode] - inline)  # how many, for the moment
        block = -(-offset // BLOCK)
        for inode in self.order:
            count = self.first_block[inode]
            if block + count >= 1 << 32:
                raise Invalid("the file system would be larger than 16 TiB")
            self.first_block[inode] = block if count else 0
            block += count
        return block


def write_erofs(
    tree: Tree, file: BinaryIO, *, root: int = ROOT, report: Callable[[int], None] = lambda _bytes: None
) -> int:
    """Write the image of a tree, or of a directory in it, to an empty seekable file and return its size in bytes.

    `report` is told the bytes of file content written so far. Raises `Invalid` for what the format cannot hold.
    """
    layout = _Layout(tree, root)
    output = _Output(file)
    meta = _Metadata(output)
    written = 0
    for inode in layout.order:
        xattrs = _encode_xattrs(tree, inode)
        head = _INODE.size + len(xattrs)
        inline = layout.inline(inode, head)
        meta.add(layout.offset(inode), _encode_inode(layout, inode, xattrs, inline) + xattrs)
        if layout.size(inode):
            tail = _write_content(layout, inode, inline, output)
            meta.add(layout.offset(inode) + head, tail)
        if stat.S_ISREG(tree.mode(inode)):
            written += layout.size(inode)
            report(written)
    uuid = meta.flush()[:16]
    file.truncate(layout.blocks * BLOCK)
    output.write(0, _superblock(len(layout.order), layout.blocks, uuid))
    return layout.blocks * BLOCK


def _write_content(layout: _Layout, inode: int, inline: int, output: _Output) -> bytes | bytearray:
    """Write the blocks of an inode's content; what goes beside the inode."""
    tree = layout.tree
    begin = layout.first_block[inode] * BLOCK
    full = layout.size(inode) - inline
    if tree.is_directory(inode):
        for number, block in enumerate(layout.encode_directory(inode)):
            if number * BLOCK >= full:
                return block
            output.write(begin + number * BLOCK, block)
        return b""
    if tree.is_symlink(inode):
        target = tree.target(inode)
        if full:
            output.write(begin, target[:full])
        return target[full:]
    return _copy_body(tree.body(inode), full, begin, output)


def _copy_body(body: Body, full: int, begin: int, output: _Output) -> bytearray:
    """Copy the first `full` bytes of a file to `begin`, where there is data; the bytes after them."""
    tail = bytearray(body.length - full)
    body.source.seek(body.offset)
    for start, size in body.extents():
        position, end = start, start + size
        while position < end:
            limit = full if position < full else end
            data = body.source.read(min(end, limit, position + _COPY_BYTES) - position)
            if not data:
                raise Invalid(_SHORTER, hint=_SHORTER_HINT)
            if position < full:
                output.write(begin + position, data)
            else:
                tail[position - full : position - full + len(data)] = data
            position += len(data)
    return tail


def _encode_inode(layout: _Layout, inode: int, xattrs: bytes, inline: int) -> bytes:
    node = layout.tree.node(inode)
    place = layout.first_block[inode]
    if stat.S_ISCHR(node.mode) or stat.S_ISBLK(node.mode):
        major, minor = node.device
        place = (minor & 0xFF) | major << 8 | (minor & ~0xFF) << 12
    return _INODE.pack(
        _EXTENDED | (_FLAT_INLINE if inline else _FLAT_PLAIN),
        (len(xattrs) - len(_XATTR_HEADER)) // 4 + 1 if xattrs else 0,
        node.mode,
        0,
        layout.size(inode),
        place,
        layout.number[inode],
        node.uid,
        node.gid,
        node.mtime_s & 0xFFFF_FFFF_FFFF_FFFF,
        node.mtime_ns,
        2 + layout.subdirectories[inode] if node.is_directory else node.links,
    )


def _encode_xattrs(tree: Tree, inode: int) -> bytes:
    xattrs = tree.xattrs(inode)
    if not xattrs:
        return b""
    parts = [_XATTR_HEADER]
    for name, value in sorted(xattrs.items()):
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


def _blocks(size: int) -> int:
    return -(-size // BLOCK)


def _superblock(inode_count: int, blocks: int, uuid: bytes) -> bytes:
    """Block 0, for a root that is the first inode.

    Its checksum is CRC-32C over the block from the superblock on, with the field itself zero.
    """

    def pack(checksum: int) -> bytes:
        fields = _SUPERBLOCK.pack(
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
