"""Writing trees as pax archives, with all their attributes. The same tree always gives the same bytes.

A header is ustar's as far as its fields reach; what they cannot hold is in an extended header before it. Extended
attributes are `SCHILY.xattr` records, as GNU tar, star and libarchive write them. Names that are no UTF-8 stay as they
are, as GNU tar leaves them.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping
from typing import Final

from banger.core.errors import Invalid
from banger.core.untrusted import printable
from banger.disk.paths import walk
from banger.disk.tar_header import BLOCK, XATTR_PREFIX
from banger.disk.tree import Body, Node, Tree
from banger.disk.windows import read_pieces

_TYPES: Final = {
    stat.S_IFREG: b"0",
    stat.S_IFLNK: b"2",
    stat.S_IFCHR: b"3",
    stat.S_IFBLK: b"4",
    stat.S_IFDIR: b"5",
    stat.S_IFIFO: b"6",
}
_HARD_LINK: Final = b"1"
_EXTENDED: Final = b"x"
_EXTENDED_NAME: Final = b"././@PaxHeader"
_NAME_BYTES: Final = 100
_ID_LIMIT: Final = 8**7
_SIZE_LIMIT: Final = 8**11
_ZEROS: Final = bytes(1 << 20)
END: Final = bytes(2 * BLOCK)


def tar_pieces(tree: Tree) -> Iterator[bytes]:
    """The whole archive of a tree in pieces of at most 1 MiB, parents first, by the order of names.

    Raises `Invalid` for sockets, which archives do not know, and for a source that has become shorter.
    """
    first_names: dict[int, bytes] = {}
    for path, inode in walk(tree):
        node = tree.node(inode)
        name = path or b"."
        if node.is_directory:
            yield encode_header(name + b"/", node)
        elif node.links > 1 and inode in first_names:
            yield encode_header(name, node, link=first_names[inode])
        else:
            if node.links > 1:
                first_names[inode] = name
            yield encode_header(name, node)
            if node.body is not None:
                yield from read_content(node.body)
                yield padding(node.body.length)
    yield END


def encode_file(name: bytes, size: int) -> bytes:
    """The header of a plain file without an owner, to be followed by `size` bytes and their `padding`."""
    return _encode(name, b"0", mode=0o644, size=size)


def padding(size: int) -> bytes:
    """The padding after a content of `size` bytes."""
    return bytes(-size % BLOCK)


def read_content(body: Body) -> Iterator[bytes]:
    """All bytes of a file, with zeros for its holes."""
    done = 0
    for position, data in read_pieces(body, 0, body.length):
        yield from _zeros(position - done)
        yield data
        done = position + len(data)
    yield from _zeros(body.length - done)


def encode_header(name: bytes, node: Node, *, link: bytes | None = None) -> bytes:
    """The header of a member, after an extended one where that is needed.

    `link` is an earlier name of the inode; the attributes are said once more, because some programs set them again.
    """
    if link is not None:
        kind, target, size = _HARD_LINK, link, 0
    else:
        found = _TYPES.get(stat.S_IFMT(node.mode))
        if found is None:
            raise Invalid(f"{printable(name, limit=200)} is a socket, and archives have none")
        kind, target, size = found, node.target, node.body.length if node.body is not None else 0
    records: dict[bytes, bytes] = {}
    if len(name) > _NAME_BYTES:
        records[b"path"] = name
    if len(target) > _NAME_BYTES:
        records[b"linkpath"] = target
    if size >= _SIZE_LIMIT:
        records[b"size"] = b"%d" % size
    for key, number in ((b"uid", node.uid), (b"gid", node.gid)):
        if number >= _ID_LIMIT:
            records[key] = b"%d" % number
    if node.mtime_ns or not 0 <= node.mtime_s < _SIZE_LIMIT:
        records[b"mtime"] = _encode_time(node.mtime_s, node.mtime_ns)
    for key, value in (node.xattrs or {}).items():
        records[XATTR_PREFIX + _encode_key(key)] = value
    header = _encode(
        name,
        kind,
        target=target,
        mode=stat.S_IMODE(node.mode),
        ids=(node.uid, node.gid),
        size=size,
        mtime_s=node.mtime_s,
        device=node.device,
    )
    return _encode_extended(records) + header if records else header


def _encode_extended(records: Mapping[bytes, bytes]) -> bytes:
    data = b"".join(_encode_record(key, value) for key, value in records.items())
    return _encode(_EXTENDED_NAME, _EXTENDED, mode=0o644, size=len(data)) + data + padding(len(data))


def _encode_record(key: bytes, value: bytes) -> bytes:
    """`LENGTH KEY=VALUE`, where the length counts its own digits too."""
    rest = len(key) + len(value) + 3
    digits = len(b"%d" % rest)
    if len(b"%d" % (rest + digits)) > digits:
        digits += 1
    return b"%d %b=%b\n" % (rest + digits, key, value)


def _encode_key(name: bytes) -> bytes:
    """An attribute's name in a record's key, which ends at its first `=`."""
    if b"=" in name or b"%3D" in name or b"%25" in name:
        return name.replace(b"%", b"%25").replace(b"=", b"%3D")
    return name


def _encode_time(seconds: int, nanoseconds: int) -> bytes:
    """Decimal seconds. Before the epoch the fraction goes the other way than our nanoseconds."""
    sign = b""
    if seconds < 0:
        sign = b"-"
        seconds, nanoseconds = (-seconds - 1, 1_000_000_000 - nanoseconds) if nanoseconds else (-seconds, 0)
    return b"%b%d.%09d" % (sign, seconds, nanoseconds) if nanoseconds else b"%b%d" % (sign, seconds)


def _encode(
    name: bytes,
    kind: bytes,
    *,
    mode: int,
    size: int,
    target: bytes = b"",
    ids: tuple[int, int] = (0, 0),
    mtime_s: int = 0,
    device: tuple[int, int] = (0, 0),
) -> bytes:
    """One ustar block. What a field has no room for is cut, or 0: an extended header has said it."""
    header = bytearray(BLOCK)
    header[0:_NAME_BYTES] = name[:_NAME_BYTES].ljust(_NAME_BYTES, b"\0")
    header[100:108] = _octal(mode, 7)
    header[108:116] = _octal(ids[0], 7)
    header[116:124] = _octal(ids[1], 7)
    header[124:136] = _octal(size, 11)
    header[136:148] = _octal(mtime_s, 11)
    header[156:157] = kind
    header[157:257] = target[:_NAME_BYTES].ljust(_NAME_BYTES, b"\0")
    header[257:265] = b"ustar\x0000"
    header[329:337] = _octal(device[0], 7)
    header[337:345] = _octal(device[1], 7)
    header[148:156] = b"%06o\0 " % (sum(header) + 8 * 0x20)
    return bytes(header)


def _octal(number: int, digits: int) -> bytes:
    return b"%0*o\0" % (digits, number if 0 <= number < 8**digits else 0)


def _zeros(size: int) -> Iterator[bytes]:
    while size:
        yield _ZEROS[:size]
        size -= min(size, len(_ZEROS))
