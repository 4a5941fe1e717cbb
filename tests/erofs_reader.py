"""Reads uncompressed EROFS images, apart from the writer: what the kernel's fs/erofs would see in them."""

from __future__ import annotations

import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass

BLOCK = 4096
PREFIXES = {1: b"user.", 2: b"system.posix_acl_access", 3: b"system.posix_acl_default", 4: b"trusted.", 6: b"security."}


@dataclass(frozen=True)
class Found:
    """An inode. `content` is a file's bytes or a link's target."""

    number: int
    mode: int
    uid: int
    gid: int
    mtime_ns: int
    links: int
    device: int
    xattrs: dict[bytes, bytes]
    content: bytes


def read_erofs(image: bytes) -> dict[bytes, Found]:
    """Every path with its inode; the root is `b""`. Raises `AssertionError` for what the format does not allow."""
    magic, root, meta_block = (
        struct.unpack_from("<I", image, 1024)[0],
        struct.unpack_from("<H", image, 1024 + 14)[0],
        struct.unpack_from("<I", image, 1024 + 40)[0],
    )
    assert magic == 0xE0F5E1E2
    assert len(image) == struct.unpack_from("<I", image, 1024 + 36)[0] * BLOCK
    found: dict[bytes, Found] = {}
    pending = [(b"", root, root)]
    while pending:
        path, nid, above = pending.pop()
        inode, content = _read_inode(image, meta_block * BLOCK + nid * 32)
        found[path] = inode
        if stat.S_ISDIR(inode.mode):
            entries = list(_read_directory(content))
            names = [name for name, _, _ in entries]
            assert names == sorted(set(names))
            assert {name: target for name, target, _ in entries if name in (b".", b"..")} == {b".": nid, b"..": above}
            prefix = path + b"/" if path else b""
            pending += [(prefix + name, target, nid) for name, target, _ in entries if name not in (b".", b"..")]
    return found


def _read_inode(image: bytes, offset: int) -> tuple[Found, bytes]:
    layout, xattr_units, mode, _, size, place, number, uid, gid, seconds, nanoseconds, links = struct.unpack_from(
        "<HHHHQIIIIqII", image, offset
    )
    assert layout & 1  # extended
    xattr_bytes = 12 + 4 * (xattr_units - 1) if xattr_units else 0
    after = offset + 64 + xattr_bytes
    kind = stat.S_IFMT(mode)
    content = b""
    if kind in (stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK):
        tail = size % BLOCK if layout >> 1 == 2 else 0
        content = image[place * BLOCK : place * BLOCK + size - tail] + image[after : after + tail]
        assert len(content) == size
        assert not tail or offset // BLOCK == (after + tail - 1) // BLOCK
    inode = Found(
        number=number,
        mode=mode,
        uid=uid,
        gid=gid,
        mtime_ns=seconds * 1_000_000_000 + nanoseconds,
        links=links,
        device=place if kind in (stat.S_IFCHR, stat.S_IFBLK) else 0,
        xattrs=dict(_read_xattrs(image[offset + 64 + 12 : after])),
        content=b"" if kind == stat.S_IFDIR else content,
    )
    return inode, content


def _read_xattrs(area: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at < len(area):
        name_length, index, value_length = struct.unpack_from("<BBH", area, at)
        value_at = at + 4 + name_length
        yield PREFIXES[index] + area[at + 4 : value_at], area[value_at : value_at + value_length]
        at = -(-(value_at + value_length) // 4) * 4


def _read_directory(content: bytes) -> Iterator[tuple[bytes, int, int]]:
    for start in range(0, len(content), BLOCK):
        block = content[start : start + BLOCK]
        count = struct.unpack_from("<H", block, 8)[0] // 12
        entries = [struct.unpack_from("<QHB", block, 12 * at) for at in range(count)]
        ends = [name_at for _, name_at, _ in entries[1:]] + [len(block)]
        for (nid, name_at, kind), end in zip(entries, ends, strict=True):
            yield block[name_at:end].rstrip(b"\0"), nid, kind
