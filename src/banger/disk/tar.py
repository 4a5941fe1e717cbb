"""A strict reader of tar archives: ustar, GNU long names and PAX headers, into a tree in memory.

Written for hostile input: every number is checked, nothing is skipped silently, nothing is extracted. The format is
described in POSIX `pax` ("ustar Interchange Format", "pax Header Block") and the GNU tar manual ("Basic Tar Format").
"""

from __future__ import annotations

import stat
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import BinaryIO, Final

from banger.core.errors import Invalid
from banger.core.untrusted import printable
from banger.disk.tree import Body, Node, link, new_root, put

BLOCK: Final = 512
_CHUNK: Final = 1 << 20
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
_XATTR_PREFIX: Final = b"SCHILY.xattr."
_HINT: Final = "the archive is damaged, or made to do harm"


@dataclass(frozen=True, slots=True, kw_only=True)
class TarLimits:
    """What an archive may ask of us."""

    entries: int = 2_000_000
    total_bytes: int = 64 << 30
    header_bytes: int = 1 << 20


@dataclass(slots=True)
class _Extended:
    """What PAX and GNU headers say about the next member."""

    values: dict[bytes, bytes] = field(default_factory=dict)
    path: bytes | None = None
    target: bytes | None = None


class TarReader:
    """Reads one archive. `bodies` says where file contents are kept until the image is written."""

    def __init__(self, source: BinaryIO, *, limits: TarLimits, report: Callable[[int], None]) -> None:
        self._source = source
        self._limits = limits
        self._report = report
        self._seekable = source.seekable()
        self._spool: BinaryIO = source if self._seekable else tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the tree's bodies
        self._position = source.tell() if self._seekable else 0
        self._entries = 0
        self._total = 0
        self._global: dict[bytes, bytes] = {}

    def read(self) -> Node:
        """The whole tree. Raises `Invalid` with the member's name. Bodies stay valid while the source is open."""
        root = new_root()
        extended = _Extended()
        while (header := self._read_header()) is not None:
            kind = header[156:157]
            size = _number(header[124:136], "size")
            if kind in (b"x", b"g"):
                values = _parse_pax(self._read_small(size))
                if kind == b"g":
                    self._global.update(values)
                else:
                    extended.values.update(values)
                continue
            if kind in (b"L", b"K"):
                text = self._read_small(size).rstrip(b"\0")
                if kind == b"L":
                    extended.path = text
                else:
                    extended.target = text
                continue
            self._take_member(root, header, kind, size, extended)
            extended = _Extended()
        if extended.values or extended.path is not None or extended.target is not None:
            raise Invalid("the archive ends after a header that belongs to a missing member", hint=_HINT)
        return root

    def _take_member(self, root: Node, header: bytes, kind: bytes, size: int, extended: _Extended) -> None:
        values = {**self._global, **extended.values}
        path = values.get(b"path", extended.path if extended.path is not None else _header_path(header))
        target = values.get(b"linkpath", extended.target if extended.target is not None else _text(header[157:257]))
        shown = printable(path, limit=200)
        self._entries += 1
        if self._entries > self._limits.entries:
            raise Invalid(f"the archive has more than {self._limits.entries} members", hint=_HINT)
        if b"size" in values:
            size = _decimal(values[b"size"], shown)
        if any(name.startswith(b"GNU.sparse") for name in values) or kind == b"S":
            raise Invalid(f"the archive member {shown} is a sparse file", hint="make the archive without --sparse")
        if kind == b"1":
            self._skip_body(size, shown)
            link(root, path, target)
            return
        if kind not in _TYPES:
            raise Invalid(f"the archive member {shown} has the unknown type {ascii(kind)}", hint=_HINT)
        put(root, path, self._read_node(header, _TYPES[kind], path=path, target=target, size=size, values=values))

    def _read_node(
        self, header: bytes, file_type: int, *, path: bytes, target: bytes, size: int, values: dict[bytes, bytes]
    ) -> Node:
        """The inode that a header describes, with its body taken."""
        shown = printable(path, limit=200)
        if file_type == stat.S_IFREG and path.endswith(b"/"):
            file_type = stat.S_IFDIR  # how archives older than ustar say it
        node = Node(
            mode=file_type | _number(header[100:108], shown) & 0o7777,
            uid=_identity(values.get(b"uid"), header[108:116], shown),
            gid=_identity(values.get(b"gid"), header[116:124], shown),
            xattrs={
                name.removeprefix(_XATTR_PREFIX): value
                for name, value in values.items()
                if name.startswith(_XATTR_PREFIX)
            },
        )
        node.mtime_s, node.mtime_ns = _time(values.get(b"mtime"), header[136:148], shown)
        if file_type == stat.S_IFREG:
            node.body = self._take_body(size, shown)
        else:
            self._skip_body(size, shown)
        if file_type == stat.S_IFLNK:
            if not target or len(target) > 4095 or b"\0" in target:
                raise Invalid(f"the symbolic link {shown} has no usable target", hint=_HINT)
            node.target = target
        if file_type in (stat.S_IFCHR, stat.S_IFBLK):
            node.device = (_number(header[329:337], shown), _number(header[337:345], shown))
            if node.device[0] >= 1 << 12 or node.device[1] >= 1 << 20:
                raise Invalid(f"the device {shown} has impossible numbers", hint=_HINT)
        return node

    def _read_header(self) -> bytes | None:
        header = self._read_exactly(BLOCK, allow_end=True)
        if not header or header == bytes(BLOCK):
            return None
        expected = _number(header[148:156], "checksum")
        if sum(header[:148]) + 32 * 8 + sum(header[156:]) != expected:
            raise Invalid("a header of the archive has a wrong checksum", hint=_HINT)
        return header

    def _read_small(self, size: int) -> bytes:
        if size > self._limits.header_bytes:
            raise Invalid("an extended header of the archive is too large", hint=_HINT)
        data = self._read_exactly(size)
        self._read_exactly(-size % BLOCK)
        return data

    def _take_body(self, size: int, shown: str) -> Body:
        self._count(size, shown)
        if self._seekable:
            body = Body(self._source, self._position, size)
            self._position += size + -size % BLOCK
            # The last byte must be there: a shorter archive is refused now and not while the image is written.
            if size:
                self._source.seek(body.offset + size - 1)
                if not self._source.read(1):
                    raise _cut_short(shown)
            self._source.seek(self._position)
            self._report(self._position)
            return body
        body = Body(self._spool, self._spool.seek(0, 2), size)
        left = size
        while left:
            data = self._read_exactly(min(left, _CHUNK))
            self._spool.write(data)
            left -= len(data)
        self._read_exactly(-size % BLOCK)
        self._report(self._position)
        return body

    def _skip_body(self, size: int, shown: str) -> None:
        self._count(size, shown)
        left = size + -size % BLOCK
        while left:
            left -= len(self._read_exactly(min(left, _CHUNK)))

    def _count(self, size: int, shown: str) -> None:
        self._total += size
        if self._total > self._limits.total_bytes:
            raise Invalid(f"the archive holds more than {self._limits.total_bytes} bytes at {shown}", hint=_HINT)

    def _read_exactly(self, size: int, *, allow_end: bool = False) -> bytes:
        data = self._source.read(size) if size else b""
        while len(data) < size:
            more = self._source.read(size - len(data))
            if not more:
                if allow_end and not data:
                    return b""
                raise Invalid("the archive ends in the middle of a member", hint=_HINT)
            data += more
        self._position += len(data)
        return data


def _cut_short(shown: str) -> Invalid:
    return Invalid(f"the archive ends in the middle of {shown}", hint=_HINT)


def _text(field_bytes: bytes) -> bytes:
    return field_bytes.split(b"\0", 1)[0]


def _header_path(header: bytes) -> bytes:
    name = _text(header[:100])
    if header[257:263] == b"ustar\0":
        prefix = _text(header[345:500])
        if prefix:
            return prefix + b"/" + name
    return name


def _number(field_bytes: bytes, shown: str) -> int:
    """Octal text, or the GNU form: a set high bit and a big-endian number. Negative numbers are refused."""
    if field_bytes[0] & 0x80:
        if field_bytes[0] & 0x40:
            raise Invalid(f"a negative number in the header of {shown}", hint=_HINT)
        return int.from_bytes(bytes([field_bytes[0] & 0x3F]) + field_bytes[1:], "big")
    text = field_bytes.strip(b" \0")
    if not text:
        return 0
    if not all(0x30 <= byte <= 0x37 for byte in text):
        raise Invalid(f"a number in the header of {shown} is not octal", hint=_HINT)
    return int(text, 8)


def _decimal(text: bytes, shown: str) -> int:
    if not text.isdigit() or len(text) > 19:
        raise Invalid(f"a number in the extended header of {shown} is malformed", hint=_HINT)
    return int(text)


def _identity(extended: bytes | None, field_bytes: bytes, shown: str) -> int:
    value = _decimal(extended, shown) if extended is not None else _number(field_bytes, shown)
    if value >= 0xFFFF_FFFF:
        raise Invalid(f"{shown} belongs to an impossible user or group", hint=_HINT)
    return value


def _time(extended: bytes | None, field_bytes: bytes, shown: str) -> tuple[int, int]:
    if extended is None:
        seconds = _number(field_bytes, shown)
        return min(seconds, (1 << 62)), 0
    whole, _, fraction = extended.partition(b".")
    digits = whole.removeprefix(b"-")
    if not digits.isdigit() or len(digits) > 18 or (fraction and not fraction.isdigit()):
        raise Invalid(f"the time of {shown} is malformed", hint=_HINT)
    seconds = int(whole)
    nanoseconds = int(fraction[:9].ljust(9, b"0")) if fraction else 0
    if whole.startswith(b"-") and nanoseconds:
        return seconds - 1, 1_000_000_000 - nanoseconds
    return seconds, nanoseconds


def _parse_pax(data: bytes) -> dict[bytes, bytes]:
    """Records `LENGTH KEY=VALUE\\n`; a malformed one is an error, never skipped."""
    values: dict[bytes, bytes] = {}
    start = 0
    while start < len(data):
        space = data.find(b" ", start, start + 12)
        digits = data[start:space] if space > 0 else b""
        if not digits.isdigit():
            raise Invalid("an extended header of the archive is malformed", hint=_HINT)
        end = start + int(digits)
        record = data[space + 1 : end]
        key, equals, value = record[:-1].partition(b"=")
        if end > len(data) or end <= space + 1 or not record.endswith(b"\n") or not equals or not key:
            raise Invalid("an extended header of the archive is malformed", hint=_HINT)
        if b"\0" in value and not key.startswith(_XATTR_PREFIX):
            raise Invalid("an extended header of the archive has a NUL in it", hint=_HINT)
        values[key] = value
        start = end
    return values
