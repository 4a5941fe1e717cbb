"""A strict reader of tar archives: ustar, GNU and pax headers, sparse files among them; nothing is extracted.

Written for hostile input: every number is checked and nothing is skipped silently. What programs could read in two ways
(two names for one member, a size said twice, bytes after the end) is refused.
"""

from __future__ import annotations

import errno
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO, Final

from banger.core.errors import Invalid, Unavailable
from banger.disk import sparse
from banger.disk.members import Members
from banger.disk.paths import PATH_LIMIT, shown
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
from banger.disk.tree import NODE_LIMIT, Body, Node, Unusable

HINT: Final = "give an undamaged tar archive of a root directory, such as `docker export` writes"
_CHUNK: Final = 256 << 10
_REPORT_BYTES: Final = 4 << 20
_TYPES: Final = {
    b"0": stat.S_IFREG,
    b"\0": stat.S_IFREG,
    b"7": stat.S_IFREG,
    b"S": stat.S_IFREG,
    b"1": 0,
    b"2": stat.S_IFLNK,
    b"3": stat.S_IFCHR,
    b"4": stat.S_IFBLK,
    b"5": stat.S_IFDIR,
    b"6": stat.S_IFIFO,
}
_OCTAL_SIZE_LIMIT: Final = 1 << 33  # what eleven octal digits hold
_GLOBAL_RECORDS_LIMIT: Final = 64
_MEMBER_ONLY: Final = (b"path", b"linkpath", b"size")
_ZEROS: Final = bytes(BLOCK)
_COMPRESSIONS: Final = (
    (b"\x1f\x8b", "gzip", "gunzip"),
    (b"\x28\xb5\x2f\xfd", "zstd", "unzstd"),
    (b"\xfd7zXZ\0", "xz", "unxz"),
    (b"BZh", "bzip2", "bunzip2"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TarLimits:
    """The limits of an archive. Those of its names are in the tree."""

    headers: int = 4 * NODE_LIMIT
    total_bytes: int = 64 << 30
    header_bytes: int = 1 << 20
    padding_bytes: int = 64 << 20


@dataclass(slots=True)
class _Extended:
    """Fields of the next member from pax and GNU headers."""

    values: dict[bytes, bytes] = field(default_factory=dict)
    pairs: list[int] = field(default_factory=list)  # of a sparse file's map, in the records that may repeat
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
        members: Members,
        *,
        limits: TarLimits,
        spool: BinaryIO | None,
        bodies: tuple[BinaryIO, int] | None = None,
        of_layer: bool = False,
        before_bytes: int = 0,
        report: Callable[[int], None] = lambda _bytes: None,
    ) -> None:
        """`report` is told the bytes read so far; `before_bytes` of files count against the limit already.

        Contents that stay where they are will be read from `source`, or from another file that has all of it: `bodies`
        says which, and where in it the start of `source` is.

        A layer, whose end its digest tells, needs no end mark; which attributes it keeps, `parse_xattrs` says.
        """
        self._source = source
        self._members = members
        self._limits = limits
        self._report = report
        self._spool = spool
        self._spooled = spool.tell() if spool is not None else 0
        self._of_layer = of_layer
        self._position = source.tell() if spool is None else 0
        self._bodies, self._base = bodies if bodies is not None else (source, 0)
        self._reported = self._position
        self._headers = 0
        self.total_bytes = before_bytes
        self._global: dict[bytes, bytes] = {}

    def read(self) -> None:
        """Read all of it. Raises `Invalid` with the member's name. Bodies are valid while source and spool are open."""
        extended = _Extended()
        while (header := self._read_header()) is not None:
            if header.kind in (b"x", b"g", b"L", b"K"):
                self._take_extension(header, extended)
            else:
                self._take_member(header, extended)
                if extended.used:
                    extended = _Extended()
        if extended.used:
            raise Invalid("the archive ends after a header that belongs to a missing member", hint=HINT)
        self._read_padding()

    def _take_extension(self, header: Header, extended: _Extended) -> None:
        try:
            if header.size > self._limits.header_bytes:
                raise Unusable("is too large")
            data = self._read_exactly(header.size)
            self._read_exactly(-header.size % BLOCK)
            if header.kind == b"g":
                values = dict(parse_records(data))
                if any(key in _MEMBER_ONLY or key.startswith((XATTR_PREFIX, sparse.PREFIX)) for key in values):
                    raise Unusable("gives many members one name or size")
                self._global.update(values)
                if len(self._global) > _GLOBAL_RECORDS_LIMIT:
                    raise Unusable(f"is one of more than {_GLOBAL_RECORDS_LIMIT} records for all members")
            elif header.kind == b"x" and not extended.values:
                for key, value in parse_records(data):
                    if key in (sparse.OFFSET, sparse.NUMBYTES):
                        if (key == sparse.OFFSET) != (len(extended.pairs) % 2 == 0):
                            raise Unusable("is malformed")
                        extended.pairs.append(parse_decimal(value))
                    extended.values[key] = value
            elif header.kind == b"L" and extended.path is None:
                extended.path = _long_name(data)
            elif header.kind == b"K" and extended.target is None:
                extended.target = _long_name(data)
            else:
                raise Unusable("is the second of one kind for one member")
        except Unusable as error:
            raise Invalid(f"an extended header of the archive {error}", hint=HINT) from error

    def _take_member(self, header: Header, extended: _Extended) -> None:
        values = {**self._global, **extended.values} if self._global else extended.values
        path = header.path
        try:
            if extended.used:
                path = values.get(b"GNU.sparse.name", _one_of(values.get(b"path"), extended.path, header.path))
            self._put_member(header, extended, values, path)
        except (Unusable, Invalid) as error:
            member = f"the archive member {shown(path) or 'without a name'}"
            if isinstance(error, Unusable):
                raise Invalid(f"{member} {error}", hint=error.hint or HINT) from error
            raise Invalid(f"{error.summary}, at {member}", hint=error.hint) from error  # what the archive comes out of

    def _put_member(self, header: Header, extended: _Extended, values: Mapping[bytes, bytes], path: bytes) -> None:
        is_sparse = header.kind == b"S" or (extended.used and any(name.startswith(sparse.PREFIX) for name in values))
        target = header.target
        if extended.used:
            target = _one_of(values.get(b"linkpath"), extended.target, target)
        file_type = _TYPES.get(header.kind)
        if file_type is None:
            raise Unusable(f"has the unknown type {ascii(header.kind)[1:]}")
        size = _find_size(header, values)
        if is_sparse and file_type != stat.S_IFREG:
            raise Unusable("is not a file and yet sparse")
        if not path:
            raise Unusable("has no name")
        if file_type == stat.S_IFREG and path.endswith(b"/"):
            file_type = stat.S_IFDIR  # how archives older than ustar say it
        if file_type != stat.S_IFREG and size:
            raise Unusable("is not a file and yet has a content")
        if header.kind == b"1":
            self._members.link(path, target)
            return
        node = self._parse_node(header.raw, file_type, target, values)
        if is_sparse:
            node.body = self._take_sparse(header, extended, values, size)
        elif file_type == stat.S_IFREG:
            node.body = self._take_body(size)
        self._members.put(path, node)

    def _parse_node(self, raw: bytes, file_type: int, target: bytes, values: Mapping[bytes, bytes]) -> Node:
        """The inode that a header describes, without its content."""
        seconds, nanoseconds = parse_time(values.get(b"mtime"), raw[136:148])
        node = Node(
            mode=file_type | parse_number(raw[100:108]) & 0o7777,
            uid=parse_id(values.get(b"uid"), raw[108:116]),
            gid=parse_id(values.get(b"gid"), raw[116:124]),
            mtime_s=seconds,
            mtime_ns=nanoseconds,
            xattrs=parse_xattrs(values, of_layer=self._of_layer) if values else None,
        )
        if file_type == stat.S_IFLNK:
            if not target or len(target) > PATH_LIMIT or b"\0" in target:
                raise Unusable("is a symbolic link without a usable target")
            node.target = target
        elif file_type in (stat.S_IFCHR, stat.S_IFBLK):
            node.device = parse_device(raw)
        return node

    def _take_sparse(self, header: Header, extended: _Extended, values: Mapping[bytes, bytes], size: int) -> Body:
        if header.kind == b"S":
            if any(name.startswith(sparse.PREFIX) for name in values):
                raise Unusable("is a sparse file with two maps")
            found, _ = sparse.read_old_map(header.raw, self._read_exactly)
            data_bytes = size
        else:
            found, taken = sparse.read_pax_map(values, extended.pairs, size, self._read_exactly)
            data_bytes = size - taken
        sparse.check_map(found, data_bytes)
        self._count_bytes(found.length - data_bytes)
        body = self._take_body(data_bytes)
        return Body(body.source, body.offset, found.length, found.pieces)

    def _read_header(self) -> Header | None:
        """The next header, or None at the end mark: two blocks of zeros."""
        self._headers += 1
        if self._headers > self._limits.headers:
            raise Invalid(f"the archive has more than {self._limits.headers} headers", hint=HINT)
        raw = self._source.read(BLOCK)
        if not raw and self._of_layer:
            return None
        if not raw:
            raise Invalid(f"the archive {'is empty' if self._headers == 1 else 'has no end mark'}", hint=HINT)
        if self._headers == 1:
            _check_uncompressed(raw)
        try:
            self._advance(len(raw))
            raw += self._read_exactly(BLOCK - len(raw))
            if raw != _ZEROS:
                return parse_header(raw)
            if self._read_exactly(BLOCK) != _ZEROS:
                raise Unusable("comes after a part of the end mark")
        except Unusable as error:
            raise Invalid(f"a header of the archive {error}", hint=HINT) from error
        return None

    def _take_body(self, size: int) -> Body:
        self._count_bytes(size)
        if self._spool is None:
            body = Body(self._bodies, self._base + self._position, size)
            if size:
                # The last byte must be there: a shorter archive is refused now and not while the image is written.
                self._source.seek(size - 1, 1)
                self._position += size - 1
                self._read_exactly(1)
            self._skip_padding(-size % BLOCK)
            return body
        body = Body(self._spool, self._spooled, size)
        left = size
        while left:
            data = self._read_exactly(min(left, _CHUNK))
            _write(self._spool, data)
            left -= len(data)
        self._spooled += size
        self._skip_padding(-size % BLOCK)
        return body

    def _skip_padding(self, size: int) -> None:
        """Skip to the end of a content's last block. A layer may end before it: `umoci insert` leaves archives open."""
        if not size:
            return
        if self._source.read(1):
            self._advance(1)
            self._read_exactly(size - 1)
        elif not self._of_layer:
            raise Unusable("is cut short")

    def _count_bytes(self, size: int) -> None:
        self.total_bytes += size
        if self.total_bytes > self._limits.total_bytes:
            raise Unusable(f"makes more than {self._limits.total_bytes} bytes of files, which is all there may be")

    def _read_padding(self) -> None:
        """Archives are padded with zeros to whole records; anything else after the end would be a second archive."""
        left = self._limits.padding_bytes
        while data := self._source.read(min(_CHUNK, left)):
            left -= len(data)
            if data.count(0) != len(data) or not left:
                raise Invalid("there is something after the end of the archive", hint=HINT)

    def _read_exactly(self, size: int) -> bytes:
        if not size:
            return b""
        data = self._source.read(size)
        while len(data) < size:
            more = self._source.read(size - len(data))
            if not more:
                raise Unusable("is cut short")
            data += more
        self._advance(size)
        return data

    def _advance(self, size: int) -> None:
        self._position += size
        if self._position - self._reported >= _REPORT_BYTES:
            self._reported = self._position
            self._report(self._position)


def _find_size(header: Header, values: Mapping[bytes, bytes]) -> int:
    """The size of a member's content. An extended header may only say what the header had no room for."""
    if b"size" not in values:
        return header.size
    size = parse_decimal(values[b"size"])
    if size != header.size and size < _OCTAL_SIZE_LIMIT:
        raise Unusable("has two different sizes")
    return size


def _one_of(pax: bytes | None, gnu: bytes | None, header: bytes) -> bytes:
    if pax is not None and gnu is not None and pax != gnu:
        raise Unusable("has two different names")
    return next(name for name in (pax, gnu, header) if name is not None)


def _long_name(data: bytes) -> bytes:
    name = data.removesuffix(b"\0")
    if b"\0" in name or not name:
        raise Unusable("is malformed")
    return name


def _check_uncompressed(raw: bytes) -> None:
    for magic, name, program in _COMPRESSIONS:
        if raw.startswith(magic):
            raise Invalid(f"the archive is compressed with {name}", hint=f"decompress it first, with {program}")


def _write(spool: BinaryIO, data: bytes) -> None:
    try:
        spool.write(data)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise Unavailable("there is no space left to unpack the archive", hint="free some space") from error
        raise
