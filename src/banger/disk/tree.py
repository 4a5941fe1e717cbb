"""A file tree in memory: what an archive says, before any of it becomes a file system.

Names are bytes and stay inside this tree: no name from an archive ever reaches a path of the host. Inodes are numbers
in flat arrays, for which a million files are no burden; a `Node` is what goes in and comes out.
"""

from __future__ import annotations

import io
import stat
import struct
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO, Final

from banger.disk.entries import Entries

NODE_LIMIT: Final = 1_000_000
METADATA_BYTES_LIMIT: Final = 64 << 20
ROOT: Final = 0
_NOWHERE: Final = io.BytesIO()
_XATTR: Final = struct.Struct("<BH")
_EXTRA_BYTES: Final = 256  # what an inode costs beyond its place in the arrays if its content is not in the main source


class Unusable(ValueError):
    """Why a member of an archive is refused: the end of a sentence that begins with its name."""

    def __init__(self, reason: str, *, hint: str = "") -> None:
        super().__init__(reason)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Body:
    """The location of a regular file's bytes: a part of an open file of ours.

    A sparse file has its data in one piece from `offset` on, and in `pieces` where each part of it belongs: start and
    length in turn, ascending and without overlap. The rest of it is zeros.
    """

    source: BinaryIO
    offset: int
    length: int
    pieces: array[int] | None = None

    def read(self, size: int | None = None) -> bytes:
        """All of it, or its first `size` bytes; for small contents."""
        size = self.length if size is None else min(size, self.length)
        self.source.seek(self.offset)
        content = bytearray(size)
        for start, piece in self.extents():
            if start >= size:
                break
            part = self.source.read(min(piece, size - start))
            content[start : start + len(part)] = part
        return bytes(content)

    def extents(self) -> Iterator[tuple[int, int]]:
        """Where there is data: start and length, in the order in which the source has it."""
        if self.pieces is None:
            yield 0, self.length
        else:
            yield from zip(self.pieces[::2], self.pieces[1::2], strict=True)


@dataclass(slots=True)
class Node:
    """The attributes of an inode. `mode` includes the type; names are in the directories that hold it."""

    mode: int
    uid: int = 0
    gid: int = 0
    mtime_s: int = 0
    mtime_ns: int = 0
    xattrs: Mapping[bytes, bytes] | None = None
    body: Body | None = None
    target: bytes = b""
    device: tuple[int, int] = (0, 0)
    links: int = 1

    @property
    def is_directory(self) -> bool:
        return stat.S_ISDIR(self.mode)

    @property
    def is_symlink(self) -> bool:
        return stat.S_ISLNK(self.mode)

    @property
    def is_regular(self) -> bool:
        return stat.S_ISREG(self.mode)


class Tree:
    """A root directory and what is below it. Raises `Unusable` when it grows too large.

    `source` is where the bodies of most files are; others may be elsewhere, which costs more.
    """

    def __init__(
        self,
        source: BinaryIO | None = None,
        *,
        node_limit: int = NODE_LIMIT,
        metadata_bytes_limit: int = METADATA_BYTES_LIMIT,
    ) -> None:
        self.entries = Entries()
        self.source = source
        self._node_limit = node_limit
        self._metadata_bytes_limit = metadata_bytes_limit
        self._mode = array("H")
        self._uid = array("I")
        self._gid = array("I")
        self._mtime_s = array("q")
        self._mtime_ns = array("I")
        self._links = array("I")
        self._place = array("Q")  # of content in the source, of a link's target in the texts; device; own entry
        self._size = array("Q")
        self._xattrs = array("I")  # place in the texts, 0 for none
        self._texts = bytearray(1)
        self._bodies: dict[int, Body] = {}
        self._bodies_bytes = 0
        self._free = array("I")
        self.add_inode(Node(mode=stat.S_IFDIR | 0o755))

    @property
    def nodes(self) -> int:
        """How many names there are, including the root's."""
        return self.entries.count + 1

    @property
    def metadata_bytes(self) -> int:
        """Bytes of names, targets and attributes, including those of removed entries."""
        return self.entries.name_bytes + len(self._texts) + self._bodies_bytes

    @property
    def content_bytes(self) -> int:
        """The size of all file contents in bytes."""
        sizes = zip(self._mode, self._links, self._size, strict=True)
        return sum(size for mode, links, size in sizes if links and stat.S_ISREG(mode))

    @property
    def inode_limit(self) -> int:
        """One more than the largest number of an inode so far."""
        return len(self._mode)

    def add_inode(self, node: Node) -> int:
        """An inode without a name yet."""
        if self._free:
            inode = self._free.pop()
            self._links[inode] = 0
        else:
            inode = len(self._mode)
            for column in (self._mode, self._uid, self._gid, self._mtime_s, self._mtime_ns, self._links):
                column.append(0)
            self._place.append(0)
            self._size.append(0)
            self._xattrs.append(0)
        self._place[inode] = self._size[inode] = 0
        self.set_attributes(inode, node)
        kind = stat.S_IFMT(node.mode)
        if kind == stat.S_IFLNK:
            self._place[inode], self._size[inode] = len(self._texts), len(node.target)
            self._add_text(node.target)
        elif node.body is not None:
            self._set_body(inode, node.body)
        elif kind in (stat.S_IFCHR, stat.S_IFBLK):
            self._place[inode] = node.device[0] << 32 | node.device[1]
        return inode

    def set_attributes(self, inode: int, node: Node) -> None:
        """Mode, owner, time and extended attributes of `node` for an inode of the same type."""
        self._mode[inode] = node.mode
        self._uid[inode] = node.uid
        self._gid[inode] = node.gid
        self._mtime_s[inode] = node.mtime_s
        self._mtime_ns[inode] = node.mtime_ns
        self._xattrs[inode] = len(self._texts) if node.xattrs else 0
        if node.xattrs:
            packed = [_XATTR.pack(len(name), len(value)) + name + value for name, value in sorted(node.xattrs.items())]
            self._add_text(len(packed).to_bytes(2, "little") + b"".join(packed))

    def add(self, directory: int, name: bytes, inode: int) -> int:
        """Give an inode a name that its directory does not have yet; the entry."""
        if self.nodes >= self._node_limit:
            raise Unusable(f"is one more than {self._node_limit} files and directories, which is all there may be")
        self._check_metadata(len(name))
        entry = self.entries.add(directory, name, inode)
        self._links[inode] += 1
        if self.is_directory(inode):
            self._place[inode] = entry
        return entry

    def replace(self, entry: int, inode: int) -> None:
        """Let an entry that is not a directory refer to another inode."""
        self._unlink(self.entries.inode[entry])
        self.entries.inode[entry] = inode
        self._links[inode] += 1
        if self.is_directory(inode):
            self._place[inode] = entry

    def remove(self, entry: int) -> None:
        """Remove an entry and everything below it."""
        pending = array("I", (entry,))
        while pending:
            entry = pending.pop()
            inode = self.entries.inode[entry]
            if self.is_directory(inode):
                pending.extend(self.entries.children(inode))
            self.entries.remove(entry)
            self._unlink(inode)

    def parent(self, directory: int) -> int:
        """The directory that holds a directory; the root is its own."""
        return self.entries.directory[self._place[directory]] if directory != ROOT else ROOT

    def entry_of(self, directory: int) -> int:
        """The one entry of a directory other than the root."""
        return self._place[directory]

    def is_directory(self, inode: int) -> bool:
        return self._mode[inode] & 0o170000 == stat.S_IFDIR

    def is_symlink(self, inode: int) -> bool:
        return self._mode[inode] & 0o170000 == stat.S_IFLNK

    def mode(self, inode: int) -> int:
        return self._mode[inode]

    def links(self, inode: int) -> int:
        """How many names an inode has."""
        return self._links[inode]

    def size(self, inode: int) -> int:
        """Bytes of a regular file, or of a symbolic link's target."""
        return 0 if self.is_directory(inode) else self._size[inode]

    def target(self, inode: int) -> bytes:
        """Where a symbolic link points."""
        return bytes(self._texts[self._place[inode] : self._place[inode] + self._size[inode]])

    def body(self, inode: int) -> Body:
        """The content of a regular file."""
        if inode in self._bodies:
            return self._bodies[inode]
        assert self.source is not None or not self._size[inode]
        return Body(self.source or _NOWHERE, self._place[inode], self._size[inode])

    def xattrs(self, inode: int) -> dict[bytes, bytes] | None:
        """The extended attributes, sorted by name; None if there are none."""
        place = self._xattrs[inode]
        if not place:
            return None
        found = {}
        count, place = int.from_bytes(self._texts[place : place + 2], "little"), place + 2
        for _ in range(count):
            name_length, value_length = _XATTR.unpack_from(self._texts, place)
            name_at = place + _XATTR.size
            place = name_at + name_length + value_length
            found[bytes(self._texts[name_at : name_at + name_length])] = bytes(
                self._texts[name_at + name_length : place]
            )
        return found

    def node(self, inode: int) -> Node:
        """The attributes of an inode, as a value."""
        mode = self._mode[inode]
        kind = stat.S_IFMT(mode)
        place = self._place[inode]
        return Node(
            mode=mode,
            uid=self._uid[inode],
            gid=self._gid[inode],
            mtime_s=self._mtime_s[inode],
            mtime_ns=self._mtime_ns[inode],
            xattrs=self.xattrs(inode),
            body=self.body(inode) if kind == stat.S_IFREG else None,
            target=self.target(inode) if kind == stat.S_IFLNK else b"",
            device=(place >> 32, place & 0xFFFF_FFFF) if kind in (stat.S_IFCHR, stat.S_IFBLK) else (0, 0),
            links=self._links[inode],
        )

    def _set_body(self, inode: int, body: Body) -> None:
        self._size[inode] = body.length
        if body.source is self.source and body.pieces is None:
            self._place[inode] = body.offset
        elif body.length:
            cost_bytes = _EXTRA_BYTES + 8 * len(body.pieces or ())
            self._check_metadata(cost_bytes)
            self._bodies[inode] = body
            self._bodies_bytes += cost_bytes

    def _unlink(self, inode: int) -> None:
        self._links[inode] -= 1
        if not self._links[inode]:
            body = self._bodies.pop(inode, None)
            if body is not None:
                self._bodies_bytes -= _EXTRA_BYTES + 8 * len(body.pieces or ())
            self._mode[inode] = 0
            self._free.append(inode)

    def _add_text(self, text: bytes) -> None:
        self._check_metadata(len(text))
        self._texts += text

    def _check_metadata(self, more: int) -> None:
        if self.metadata_bytes + more > self._metadata_bytes_limit:
            raise Unusable(
                f"comes after {self._metadata_bytes_limit} bytes of names, link targets and attributes,"
                " which is all there may be"
            )
