"""A strict reader of tar archives: ustar, GNU long names and pax headers, into a tree in memory.

Written for hostile input: every number is checked, nothing is skipped silently, nothing is extracted. What programs
could read in two ways (two names for one member, a size said twice, bytes after the end) is refused.
"""

from __future__ import annotations

import errno
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import BinaryIO, Final

from banger.core.errors import Invalid, Unavailable
from banger.core.untrusted import printable
from banger.disk.tar_header import (
    BLOCK,
    XATTR_PREFIX,
    Header,
    parse_decimal,
    parse_device,
    parse_header,
    parse_id,
    parse_number,
    parse_records,
    parse_time,
    parse_xattrs,
)
from banger.disk.tree import HINT, NODE_LIMIT, PATH_LIMIT, Body, Node, Tree

_CHUNK: Final = 1 << 20
_REPORT_BYTES: Final = 4 << 20
_TYPES: Final = {
    b"0": stat.S_IFREG,
    b"\0": stat.S_IFREG,
    b"7": stat.S_IFREG,
    b"2": stat.S_IFLNK,
    b"3": stat.S_IFCHR,
    b"4": stat.S_IFBLK,
    b"5": stat.S_IFDIR,
    b"6": stat.S_IFIFO,
}
_OCTAL_SIZE_LIMIT: Final = 1 << 33  # what eleven octal digits hold
_MEMBER_ONLY: Final = (b"path", b"linkpath", b"size")
_COMPRESSIONS: Final = (
    (b"\x1f\x8b", "gzip", "gunzip"),
    (b"\x28\xb5\x2f\xfd", "zstd", "unzstd"),
    (b"\xfd7zXZ\0", "xz", "unxz"),
    (b"BZh", "bzip2", "bunzip2"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TarLimits:
    """What an archive may ask of us. `metadata_bytes` bounds names, link targets and attributes of all members."""

    nodes: int = NODE_LIMIT
    headers: int = 4 * NODE_LIMIT
    total_bytes: int = 64 << 30
    header_bytes: int = 1 << 20
    metadata_bytes: int = 256 << 20
    padding_bytes: int = 64 << 20


@dataclass(slots=True)
class _Extended:
    """What pax and GNU headers say about the next member."""

    values: dict[bytes, bytes] = field(default_factory=dict)
    path: bytes | None = None
    target: bytes | None = None

    @property
    def used(self) -> bool:
        return bool(self.values) or self.path is not None or self.target is not None


class TarReader:
    """Reads one archive. File contents go to `spool`, or stay where they are: then the source must be seekable."""

    def __init__(
        self,
        source: BinaryIO,
        *,
        limits: TarLimits,
        spool: BinaryIO | None,
        report: Callable[[int], None] = lambda _bytes: None,
    ) -> None:
        """`report` is told the bytes read so far."""
        self._source = source
        self._limits = limits
        self._report = report
        self._spool = spool
        self._position = source.tell() if spool is None else 0
        self._reported = self._position
        self._headers = 0
        self._total_bytes = 0
        self._metadata_bytes = 0
        self._global: dict[bytes, bytes] = {}

    def read(self) -> Tree:
        """The whole tree. Raises `Invalid` with the member's name. Bodies are valid while source and spool are open."""
        tree = Tree(node_limit=self._limits.nodes)
        extended = _Extended()
        while (header := self._read_header()) is not None:
            if header.kind in (b"x", b"g", b"L", b"K"):
                self._take_extension(header, extended)
            else:
                self._take_member(tree, header, extended)
                extended = _Extended()
        if extended.used:
            raise Invalid("the archive ends after a header that belongs to a missing member", hint=HINT)
        self._read_padding()
        return tree

    def _take_extension(self, header: Header, extended: _Extended) -> None:
        if header.size > self._limits.header_bytes:
            raise Invalid("an extended header of the archive is too large", hint=HINT)
        data = self._read_exactly(header.size)
        self._read_exactly(-header.size % BLOCK)
        self._count_metadata(len(data), "an extended header")
        if header.kind == b"g":
            values = parse_records(data)
            if any(key in _MEMBER_ONLY or key.startswith((XATTR_PREFIX, b"GNU.sparse")) for key in values):
                raise Invalid("a header of the archive gives many members one name or size", hint=HINT)
            self._global.update(values)
        elif header.kind == b"x" and not extended.values:
            extended.values = parse_records(data)
        elif header.kind == b"L" and extended.path is None:
            extended.path = _long_name(data)
        elif header.kind == b"K" and extended.target is None:
            extended.target = _long_name(data)
        else:
            raise Invalid("a member of the archive has two extended headers of one kind", hint=HINT)

    def _take_member(self, tree: Tree, header: Header, extended: _Extended) -> None:
        values = {**self._global, **extended.values} if self._global else extended.values
        path = _one_of(values.get(b"path"), extended.path, header.path)
        target = _one_of(values.get(b"linkpath"), extended.target, header.target)
        shown = printable(path, limit=200)
        size = _find_size(header, values, shown)
        if not path:
            raise Invalid("a member of the archive has no name", hint=HINT)
        if header.kind == b"S" or any(name.startswith(b"GNU.sparse") for name in values):
            raise Invalid(f"the archive member {shown} is a sparse file", hint="make the archive without --sparse")
        if header.kind != b"1" and header.kind not in _TYPES:
            raise Invalid(f"the archive member {shown} has the unknown type {ascii(header.kind)}", hint=HINT)
        self._count_metadata(len(path) + len(target), shown)
        file_type = _TYPES.get(header.kind, 0)
        if file_type == stat.S_IFREG and path.endswith(b"/"):
            file_type = stat.S_IFDIR  # how archives older than ustar say it
        if file_type != stat.S_IFREG and size:
            raise Invalid(f"the archive member {shown} is no file and yet has a content", hint=HINT)
        if header.kind == b"1":
            tree.link(path, target)
        else:
            tree.put(path, self._read_node(header.raw, file_type, target=target, size=size, values=values, shown=shown))

    def _read_node(
        self, raw: bytes, file_type: int, *, target: bytes, size: int, values: dict[bytes, bytes], shown: str
    ) -> Node:
        """The inode that a header describes, with its content taken."""
        node = Node(
            mode=file_type | parse_number(raw[100:108], shown) & 0o7777,
            uid=parse_id(values.get(b"uid"), raw[108:116], shown),
            gid=parse_id(values.get(b"gid"), raw[116:124], shown),
            xattrs=parse_xattrs(values, shown) if values else None,
        )
        node.mtime_s, node.mtime_ns = parse_time(values.get(b"mtime"), raw[136:148], shown)
        if file_type == stat.S_IFREG:
            node.body = self._take_body(size, shown)
        elif file_type == stat.S_IFLNK:
            if not target or len(target) > PATH_LIMIT or b"\0" in target:
                raise Invalid(f"the symbolic link {shown} has no usable target", hint=HINT)
            node.target = target
        elif file_type in (stat.S_IFCHR, stat.S_IFBLK):
            node.device = parse_device(raw, shown)
        return node

    def _read_header(self) -> Header | None:
        """The next header, or None at the end mark: two blocks of zeros."""
        self._headers += 1
        if self._headers > self._limits.headers:
            raise Invalid(f"the archive has more than {self._limits.headers} headers", hint=HINT)
        first = self._headers == 1
        raw = self._read_exactly(BLOCK, what="the archive is empty" if first else "the archive has no end mark")
        if first:
            _check_uncompressed(raw)
        if raw == bytes(BLOCK):
            if self._read_exactly(BLOCK, what="the archive has no end mark") != bytes(BLOCK):
                raise Invalid("the archive goes on after a part of its end mark", hint=HINT)
            return None
        return parse_header(raw)

    def _take_body(self, size: int, shown: str) -> Body:
        self._total_bytes += size
        if self._total_bytes > self._limits.total_bytes:
            raise Invalid(f"the archive holds more than {self._limits.total_bytes} bytes, at {shown}", hint=HINT)
        what = f"the archive ends in the middle of {shown}"
        if self._spool is None:
            body = Body(self._source, self._position, size)
            if size:
                # The last byte must be there: a shorter archive is refused now and not while the image is written.
                self._source.seek(size - 1, 1)
                self._position += size - 1
                self._read_exactly(1, what=what)
            self._read_exactly(-size % BLOCK, what=what)
            return body
        body = Body(self._spool, self._spool.tell(), size)
        left = size
        while left:
            data = self._read_exactly(min(left, _CHUNK), what=what)
            _spool(self._spool, data)
            left -= len(data)
        self._read_exactly(-size % BLOCK, what=what)
        return body

    def _read_padding(self) -> None:
        """Archives are padded with zeros to whole records; anything else after the end would be a second archive."""
        left = self._limits.padding_bytes
        while data := self._source.read(min(_CHUNK, left)):
            left -= len(data)
            if data.count(0) != len(data) or not left:
                raise Invalid("there is something after the end of the archive", hint=HINT)

    def _count_metadata(self, size: int, shown: str) -> None:
        self._metadata_bytes += size
        if self._metadata_bytes > self._limits.metadata_bytes:
            raise Invalid(
                f"the archive has more than {self._limits.metadata_bytes} bytes of names and attributes, at {shown}",
                hint=HINT,
            )

    def _read_exactly(self, size: int, *, what: str = "the archive ends in the middle of a header") -> bytes:
        data = self._source.read(size) if size else b""
        while len(data) < size:
            more = self._source.read(size - len(data))
            if not more:
                raise Invalid(what, hint=HINT)
            data += more
        self._position += size
        if self._position - self._reported >= _REPORT_BYTES:
            self._reported = self._position
            self._report(self._position)
        return data


def _find_size(header: Header, values: dict[bytes, bytes], shown: str) -> int:
    """The size of a member's content. An extended header may only say what the header had no room for."""
    if b"size" not in values:
        return header.size
    size = parse_decimal(values[b"size"], shown)
    if size != header.size and size < _OCTAL_SIZE_LIMIT:
        raise Invalid(f"the archive says two different sizes of {shown}", hint=HINT)
    return size


def _one_of(pax: bytes | None, gnu: bytes | None, header: bytes) -> bytes:
    if pax is not None and gnu is not None and pax != gnu:
        raise Invalid(f"the archive says two different names of {printable(pax, limit=200)}", hint=HINT)
    return next(name for name in (pax, gnu, header) if name is not None)


def _long_name(data: bytes) -> bytes:
    name = data.removesuffix(b"\0")
    if b"\0" in name or not name:
        raise Invalid("a long name of the archive is malformed", hint=HINT)
    return name


def _check_uncompressed(raw: bytes) -> None:
    for magic, name, program in _COMPRESSIONS:
        if raw.startswith(magic):
            raise Invalid(f"the archive is compressed with {name}", hint=f"decompress it first, with {program}")


def _spool(spool: BinaryIO, data: bytes) -> None:
    try:
        spool.write(data)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise Unavailable("there is no space left to unpack the archive", hint="free some space") from error
        raise
