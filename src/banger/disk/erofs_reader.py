"""A strict reader of the EROFS images that `erofs` writes, and of nothing else.

There is exactly one image of a tree, and this reads that one: every number is the one that the writer would have
written, every inode and every block is where it would be, and what has no meaning is zero. Contents of files are not
looked at; their digest is the store's to compare.
"""

from __future__ import annotations

import hashlib
import stat
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final, cast

from banger.disk.erofs_file import (
    NID_LIMIT,
    SIZE_LIMIT,
    Content,
    Damaged,
    ImageFile,
    Inode,
    address_of,
    decode_inode,
    offset_of,
)
from banger.disk.erofs_format import (
    BLOCK,
    DIRENT,
    FILE_TYPES,
    INLINE,
    INODE,
    META_BLOCK,
    PLAIN,
    SUPERBLOCK,
    SUPERBLOCK_OFFSET,
    XATTR,
    XATTR_HEADER,
    XATTR_PREFIXES,
    align_slot,
    choose_tail,
    count_blocks,
    decode_device,
    encode_device,
    encode_superblock,
)
from banger.disk.paths import DEPTH_LIMIT, NAME_LIMIT, PATH_LIMIT
from banger.disk.tree import ROOT, Body, Node, Tree, Unusable

_WINDOW_BYTES: Final = 64 << 10
_PIECE_BYTES: Final = 1 << 20
_PREFIXES: Final = {index: prefix for prefix, index in XATTR_PREFIXES}
_KINDS: Final = {number: kind for kind, number in FILE_TYPES.items()}
_DEVICES: Final = (stat.S_IFCHR, stat.S_IFBLK)
_WITH_CONTENT: Final = (stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK)


def read_erofs(file: BinaryIO) -> Tree:
    """The tree of an image, whose source reads contents from `file` while that is open. Raises `Damaged`."""
    try:
        return _Reader(ImageFile(file)).read()
    except Unusable as error:
        raise Damaged(str(error)) from error


class _Window:
    """The bytes around the last place that was read: most of the next ones are near it."""

    def __init__(self, file: ImageFile) -> None:
        self._file = file
        self._begin = 0
        self._data = b""

    def read(self, offset: int, size: int) -> bytes:
        """All of the bytes at an offset. Raises `Damaged`."""
        if not self._begin <= offset <= offset + size <= self._begin + len(self._data):
            self._begin, self._data = offset, self._file.at(offset, max(size, _WINDOW_BYTES))
        found = self._data[offset - self._begin : offset - self._begin + size]
        if len(found) != size:
            raise Damaged("the image ends too early")
        return found


@dataclass(slots=True)
class _Directory:
    """A directory that is being read."""

    inode: int
    nid: int
    links: int
    entries: Iterator[tuple[bytes, int, int]]
    subdirectories: int = 0


class _Reader:
    """Goes through an image in the order in which the writer went through the tree."""

    def __init__(self, file: ImageFile) -> None:
        self._file = file
        self._inodes = _Window(file)
        self._blocks = _Window(file)
        self.tree = Tree(cast("BinaryIO", file))
        # By the number that is in an inode, from 1.
        self._nids = array("I", (0,))
        self._numbered = array("I", (0,))
        self._links = array("I", (0,))
        self._meta_end = META_BLOCK * BLOCK
        self._first_block: int | None = None
        self._next_block = 0

    def read(self) -> Tree:
        """The whole tree."""
        raw = self._file.exactly(0, BLOCK)
        fields = SUPERBLOCK.unpack_from(raw, SUPERBLOCK_OFFSET)
        inodes, blocks, uuid = fields[6], fields[9], fields[12]
        if raw != encode_superblock(inodes, blocks, uuid) or blocks * BLOCK != self._file.size:
            raise Damaged("the superblock is not as it was written")
        self._walk()
        data_begin = count_blocks(self._meta_end)
        self._check_gap(data_begin * BLOCK)
        if (
            len(self._nids) != inodes + 1
            or (data_begin if self._first_block is None else self._first_block) != data_begin
            or (data_begin if self._first_block is None else self._next_block) != blocks
            or self._digest_metadata()[:16] != uuid
        ):
            raise Damaged("the image has other inodes or blocks than it says")
        for inode, links in zip(self._numbered[1:], self._links[1:], strict=True):
            if not self.tree.is_directory(inode) and self.tree.links(inode) != links:
                raise Damaged("a file has more or fewer names than it says")
        return self.tree

    def _walk(self) -> None:
        opened = [self._take_root()]
        while opened:
            directory = opened[-1]
            entry = next(directory.entries, None)
            if entry is None:
                if directory.links != 2 + directory.subdirectories:
                    raise Damaged("a directory has more or fewer directories than it says")
                opened.pop()
                continue
            name, nid, kind = entry
            found = self._decode(nid, kind)
            if found.number < len(self._nids):
                if self._nids[found.number] != nid or kind == stat.S_IFDIR:
                    raise Damaged("two inodes have one number")
                self.tree.add(directory.inode, name, self._numbered[found.number])
                continue
            self._check_place(found)
            inode = self.tree.add_inode(self._read_node(found))
            self._remember(found, nid, inode)
            self.tree.add(directory.inode, name, inode)
            if kind == stat.S_IFDIR:
                directory.subdirectories += 1
                if len(opened) > DEPTH_LIMIT:
                    raise Damaged("directories are too deep")
                entries = self._read_directory(found.content, nid, directory.nid)
                opened.append(_Directory(inode, nid, found.links, entries))

    def _take_root(self) -> _Directory:
        found = self._decode(0, stat.S_IFDIR)
        self._check_place(found)
        self.tree.set_attributes(ROOT, self._read_node(found))
        self._remember(found, 0, ROOT)
        return _Directory(ROOT, 0, found.links, self._read_directory(found.content, 0, 0))

    def _decode(self, nid: int, kind: int) -> Inode:
        if nid >= NID_LIMIT:
            raise Damaged("there is more metadata than there can be")
        offset = offset_of(nid)
        found = decode_inode(offset, self._inodes.read(offset, INODE.size))
        if found.kind != kind:
            raise Damaged("a directory says another type than the inode")
        return found

    def _remember(self, found: Inode, nid: int, inode: int) -> None:
        if found.number != len(self._nids):
            raise Damaged("inodes are not in their order")
        self._nids.append(nid)
        self._numbered.append(inode)
        self._links.append(found.links)

    def _check_place(self, found: Inode) -> None:
        """Raise `Damaged` unless a new inode and its content are where they have to be."""
        size = found.size if found.kind in _WITH_CONTENT else 0
        tail = choose_tail(size, found.head)
        offset = align_slot(self._meta_end)
        if offset % BLOCK + found.head + tail > BLOCK:
            offset = count_blocks(offset) * BLOCK
        blocks = count_blocks(size - tail)
        if blocks and self._first_block is None:
            self._first_block = self._next_block = found.place
        place = self._next_block if blocks else 0
        if found.kind in _DEVICES:
            place = encode_device(*decode_device(found.place))
        if (
            found.offset != offset
            or found.size != size
            or size >= SIZE_LIMIT
            or found.layout != (INLINE if tail else PLAIN)
            or found.place != place
        ):
            raise Damaged("an inode or its content is not where it has to be")
        self._check_gap(offset)
        self._meta_end = offset + found.head + tail
        self._next_block += blocks

    def _check_gap(self, end: int) -> None:
        """Raise `Damaged` unless there is nothing between the metadata so far and where it continues."""
        if self._inodes.read(self._meta_end, end - self._meta_end).strip(b"\0"):
            raise Damaged("there is something between inodes")

    def _read_node(self, found: Inode) -> Node:
        """The inode as it is in a tree. The content of a file stays where it is."""
        node = Node(
            mode=found.mode,
            uid=found.uid,
            gid=found.gid,
            mtime_s=found.mtime_s,
            mtime_ns=found.mtime_ns,
            xattrs=self._read_xattrs(found),
        )
        if found.kind == stat.S_IFREG:
            node.body = Body(cast("BinaryIO", self._file), address_of(found), found.size)
        elif found.kind == stat.S_IFLNK:
            node.target = self._read_target(found.content)
        elif found.kind in _DEVICES:
            node.device = decode_device(found.place)
        return node

    def _read_target(self, content: Content) -> bytes:
        if not 0 < content.size <= PATH_LIMIT:
            raise Damaged("a symbolic link has an impossible target")
        target = self._blocks.read(content.blocks_at, content.full) if content.full else b""
        target += self._inodes.read(content.tail_at, content.size - content.full)
        if b"\0" in target:
            raise Damaged("a symbolic link has an impossible target")
        return target

    def _read_xattrs(self, found: Inode) -> dict[bytes, bytes] | None:
        if not found.xattr_bytes:
            return None
        area = self._inodes.read(found.offset + INODE.size, found.xattr_bytes)
        xattrs: dict[bytes, bytes] = {}
        at = len(XATTR_HEADER)
        last = b""
        while at < len(area):
            name_length, index, value_length = XATTR.unpack_from(area, at)
            value_at = at + XATTR.size + name_length
            end = value_at + value_length
            name = _PREFIXES.get(index, b"") + area[at + XATTR.size : value_at]
            at = -(-end // 4) * 4
            if index not in _PREFIXES or name <= last or at > len(area) or area[end:at].strip(b"\0"):
                raise Damaged("an extended attribute is not as it was written")
            xattrs[name] = area[value_at:end]
            last = name
        if not xattrs or area[: len(XATTR_HEADER)] != XATTR_HEADER:
            raise Damaged("extended attributes are not as they were written")
        return xattrs

    def _read_directory(self, content: Content, nid: int, above: int) -> Iterator[tuple[bytes, int, int]]:
        """Names, places and types of a directory, without `.` and `..`."""
        last = b""
        dots = {b".": nid, b"..": above}
        used = BLOCK
        for start in range(0, content.size, BLOCK):
            before, used = used, 0
            if start < content.full:
                block = self._blocks.read(content.blocks_at + start, min(BLOCK, content.full - start))
            else:
                block = self._inodes.read(content.tail_at, content.size - start)
            for name, target, kind in _decode_directory(block, is_last=start + BLOCK >= content.size):
                taken = DIRENT.size + len(name)
                if name <= last or (not used and before + taken <= BLOCK):
                    raise Damaged("the names of a directory are not in order")
                last, used = name, used + taken
                if name not in dots:
                    yield name, target, kind
                elif dots.pop(name) != target or kind != stat.S_IFDIR:
                    raise Damaged("a directory is below another than it says")
        if dots:
            raise Damaged("a directory does not say where it is")

    def _digest_metadata(self) -> bytes:
        digest = hashlib.sha256()
        for offset in range(META_BLOCK * BLOCK, self._meta_end, _PIECE_BYTES):
            digest.update(self._file.exactly(offset, min(_PIECE_BYTES, self._meta_end - offset)))
        return digest.digest()


def _decode_directory(block: bytes, *, is_last: bool) -> Iterator[tuple[bytes, int, int]]:
    """The entries of one block. The last one ends with its last name, the others with zeros."""
    if len(block) < DIRENT.size:
        raise Damaged("a directory is cut short")
    count, rest = divmod(DIRENT.unpack_from(block)[1], DIRENT.size)
    if rest or not 0 < count <= len(block) // DIRENT.size:
        raise Damaged("a directory is not as it was written")
    entries = [DIRENT.unpack_from(block, DIRENT.size * at) for at in range(count)]
    expected = count * DIRENT.size
    if b"".join(DIRENT.pack(*entry) for entry in entries) != block[:expected]:
        raise Damaged("a directory is not as it was written")
    for number, (nid, name_at, kind) in enumerate(entries):
        if number + 1 < count:
            name = block[name_at : max(name_at, entries[number + 1][1])]
        else:
            name, _, padding = block[name_at:].partition(b"\0")
            if padding.strip(b"\0") or (is_last and name_at + len(name) != len(block)):
                raise Damaged("a directory has something after its names")
        if (
            name_at != expected
            or kind not in _KINDS
            or not 0 < len(name) <= NAME_LIMIT
            or b"/" in name
            or b"\0" in name
        ):
            raise Damaged("a directory has an impossible name")
        expected += len(name)
        yield name, nid, _KINDS[kind]
