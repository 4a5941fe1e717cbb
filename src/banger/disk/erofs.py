"""Writing EROFS images: uncompressed, with exact owners, modes, times, extended attributes, links and devices.

The same tree always gives the same bytes.
"""

from __future__ import annotations

import hashlib
import itertools
import stat
from array import array
from collections.abc import Callable, Iterator
from typing import BinaryIO, Final

from banger.core.errors import Invalid
from banger.core.untrusted import printable
from banger.disk.erofs_format import (
    BLOCK,
    DIRENT,
    FILE_TYPES,
    INLINE,
    INODE,
    META_BLOCK,
    PLAIN,
    SLOT,
    XATTR,
    XATTR_HEADER,
    XATTR_PREFIXES,
    align_slot,
    choose_tail,
    count_blocks,
    encode_device,
    encode_superblock,
)
from banger.disk.tree import ROOT, Tree
from banger.disk.windows import read_pieces

_META_BUFFER_BYTES: Final = 256 << 10
_SETTLED_BYTES: Final = 4 << 20


class _Output:
    """The image file, in which metadata and data grow in turns, each from front to back."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.position = 0

    def write(self, offset: int, data: bytes | bytearray) -> None:
        """Write bytes at `offset`. A gap of less than a block before them is filled with zeros."""
        gap = offset - self.position
        if 0 < gap < BLOCK:
            self._file.write(bytes(gap))  # quicker than to seek, for which a file gives its buffer up
        elif gap:
            self._file.seek(offset)
        self._file.write(data)
        self.position = offset + len(data)


class _Metadata:
    """The area of inodes, written from front to back in large pieces while data goes elsewhere in the same file."""

    def __init__(self, output: _Output) -> None:
        self._output = output
        self._begin = META_BLOCK * BLOCK
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
    """The inodes, and where each of them and its data goes. In flat arrays by inode, as in the tree."""

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
        """The offset of an inode in the image."""
        return META_BLOCK * BLOCK + self._nid[inode] * SLOT

    def size(self, inode: int) -> int:
        return self._size[inode]

    def inline(self, inode: int, head: int) -> int:
        """How many bytes at the end of the content go beside the inode, whose head has `head` bytes."""
        return choose_tail(self._size[inode], head)

    def names(self, directory: int) -> Iterator[tuple[bytes, int]]:
        """Names and inodes in the order of the names' bytes, with `.` and `..`."""
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
            if used + DIRENT.size + len(name) > BLOCK:
                yield self._encode_block(names, targets)
                names, targets, used = [], [], 0
            names.append(name)
            targets.append(inode)
            used += DIRENT.size + len(name)
        yield self._encode_block(names, targets)

    def _encode_block(self, names: list[bytes], targets: list[int]) -> bytes:
        name_at = len(names) * DIRENT.size
        entries = bytearray()
        for name, inode in zip(names, targets, strict=True):
            entries += DIRENT.pack(self._nid[inode], name_at, FILE_TYPES[stat.S_IFMT(self.tree.mode(inode))])
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
            if used + DIRENT.size + len(name) > BLOCK:
                full, used = full + 1, 0
            used += DIRENT.size + len(name)
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
        offset = META_BLOCK * BLOCK
        for inode in self.order:
            head = INODE.size + len(_encode_xattrs(self.tree, inode))
            offset = align_slot(offset)
            inline = self.inline(inode, head)
            if offset % BLOCK + head + inline > BLOCK:
                offset = -(-offset // BLOCK) * BLOCK
            self._nid[inode] = (offset - META_BLOCK * BLOCK) // SLOT
            offset += head + inline
            self.first_block[inode] = count_blocks(self._size[inode] - inline)  # how many, for the moment
        block = -(-offset // BLOCK)
        for inode in self.order:
            count = self.first_block[inode]
            if block + count >= 1 << 32:
                raise Invalid("the file system would be larger than 16 TiB")
            self.first_block[inode] = block if count else 0
            block += count
        return block


def write_erofs(
    tree: Tree,
    file: BinaryIO,
    *,
    root: int = ROOT,
    report: Callable[[int], None] = lambda _bytes: None,
    settled: Callable[[int], None] = lambda _position: None,
) -> int:
    """Write the image of a tree, or of a directory in it, to an empty seekable file and return its size in bytes.

    `report` is told the bytes of file content written so far, `settled` now and then up to where the file is final.
    Raises `Invalid` for what the format cannot hold.
    """
    layout = _Layout(tree, root)
    output = _Output(file)
    size_bytes = layout.blocks * BLOCK
    uuid = _write_metadata(layout, output, report)
    output.write(0, encode_superblock(len(layout.order), layout.blocks, uuid))
    written, told = 0, 0
    for inode in layout.order:
        begin = layout.first_block[inode] * BLOCK
        if begin:
            for position, data in _read_content(layout, inode):
                output.write(begin + position, data)
                if output.position - told >= _SETTLED_BYTES:
                    told = output.position
                    file.flush()
                    settled(told)
        if stat.S_ISREG(tree.mode(inode)):
            written += layout.size(inode)
            report(written)
    file.flush()
    file.truncate(size_bytes)
    settled(size_bytes)
    return size_bytes


def _write_metadata(layout: _Layout, output: _Output, report: Callable[[int], None]) -> bytes:
    """Write inodes, their attributes and what is beside them; 16 bytes out of the digest of all that."""
    meta = _Metadata(output)
    for inode in layout.order:
        xattrs = _encode_xattrs(layout.tree, inode)
        head = INODE.size + len(xattrs)
        inline = layout.inline(inode, head)
        meta.add(layout.offset(inode), _encode_inode(layout, inode, xattrs, inline) + xattrs)
        if inline:
            meta.add(layout.offset(inode) + head, _read_tail(layout, inode, inline))
            report(0)
    return meta.flush()[:16]


def _read_tail(layout: _Layout, inode: int, inline: int) -> bytes | bytearray:
    """The end of an inode's content, which goes beside it."""
    tree, full = layout.tree, layout.size(inode) - inline
    if tree.is_directory(inode):
        return next(itertools.islice(layout.encode_directory(inode), full // BLOCK, None))
    if tree.is_symlink(inode):
        return tree.target(inode)[full:]
    tail = bytearray(inline)
    for position, data in read_pieces(tree.body(inode), full, full + inline):
        tail[position - full : position - full + len(data)] = data
    return tail


def _read_content(layout: _Layout, inode: int) -> Iterator[tuple[int, bytes]]:
    """What goes into the blocks of an inode, where it is not zeros, and at which place in its content."""
    tree = layout.tree
    full = layout.size(inode) - layout.inline(inode, INODE.size + len(_encode_xattrs(tree, inode)))
    if tree.is_directory(inode):
        blocks = itertools.islice(layout.encode_directory(inode), count_blocks(full))
        yield from ((number * BLOCK, block) for number, block in enumerate(blocks))
    elif tree.is_symlink(inode):
        yield 0, tree.target(inode)[:full]
    else:
        yield from read_pieces(tree.body(inode), 0, full)


def _encode_inode(layout: _Layout, inode: int, xattrs: bytes, inline: int) -> bytes:
    node = layout.tree.node(inode)
    place = layout.first_block[inode]
    if stat.S_ISCHR(node.mode) or stat.S_ISBLK(node.mode):
        place = encode_device(*node.device)
    return INODE.pack(
        INLINE if inline else PLAIN,
        (len(xattrs) - len(XATTR_HEADER)) // 4 + 1 if xattrs else 0,
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
    parts = [XATTR_HEADER]
    for name, value in sorted(xattrs.items()):
        prefix, index = _find_prefix(name)
        rest = name.removeprefix(prefix)
        if len(rest) > 255 or len(value) > 65535:
            raise Invalid(f"the extended attribute {printable(name, limit=80)} is too large")
        entry = XATTR.pack(len(rest), index, len(value)) + rest + value
        parts.append(entry + bytes(-len(entry) % 4))
    encoded = b"".join(parts)
    if len(encoded) > BLOCK - INODE.size:
        raise Invalid("a file has more extended attributes than fit beside its inode")
    return encoded


def _find_prefix(name: bytes) -> tuple[bytes, int]:
    for prefix, index in XATTR_PREFIXES:
        if name.startswith(prefix):
            return prefix, index
    raise Invalid(f"an extended attribute has the name {printable(name, limit=80)}, which no file system keeps")
