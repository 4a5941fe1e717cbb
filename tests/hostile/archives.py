"""Tar archives and layers made byte by byte, for what no library would write."""

from __future__ import annotations

import gzip
import hashlib
import io
import sys
from collections.abc import Callable

from banger.core.layers import Layer

if sys.version_info >= (3, 14):
    from compression import zstd as zstd  # noqa: PLC0414 - for those who import it from here
else:
    from backports import zstd as zstd  # noqa: PLC0414

END = bytes(1024)
GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd"


def block(
    name: bytes = b"file",
    *,
    kind: bytes = b"0",
    size: int | bytes = 0,
    target: bytes = b"",
    mode: bytes = b"0000644\0",
    uid: bytes = b"0000000\0",
    mtime: bytes = b"00000000000\0",
    magic: bytes = b"ustar\x0000",
    device: bytes = b"0000000\x000000000\0",
    prefix: bytes = b"",
) -> bytes:
    """A header with a right checksum, whatever else is wrong with it."""
    size_field = size if isinstance(size, bytes) else b"%011o\0" % size
    head = name.ljust(100, b"\0") + mode + uid + b"0000000\0" + size_field + mtime
    tail = kind + target.ljust(100, b"\0") + magic + bytes(64) + device + prefix.ljust(155, b"\0")
    raw = (head + b" " * 8 + tail).ljust(512, b"\0")
    assert len(raw) == 512
    return raw[:148] + b"%06o\0 " % sum(raw) + raw[156:]


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 512)


def record(key: bytes, value: bytes) -> bytes:
    body = b" " + key + b"=" + value + b"\n"
    length = len(body) + 1
    while len(b"%d" % length) + len(body) != length:
        length += 1
    return b"%d" % length + body


def pax(*records: bytes, kind: bytes = b"x") -> bytes:
    data = b"".join(records)
    return block(b"pax", kind=kind, size=len(data)) + padded(data)


def long_name(name: bytes, kind: bytes = b"L") -> bytes:
    return block(b"././@LongLink", kind=kind, size=len(name), magic=b"ustar  \0") + padded(name)


def directory(name: bytes, mode: bytes = b"0000755\0") -> bytes:
    return _named(name, kind=b"5", mode=mode)


def file(name: bytes, content: bytes = b"") -> bytes:
    return _named(name, size=len(content)) + padded(content)


def symlink(name: bytes, target: bytes) -> bytes:
    return _named(name, kind=b"2", target=target)


def hard_link(name: bytes, target: bytes) -> bytes:
    return _named(name, kind=b"1", target=target)


def _named(name: bytes, *, kind: bytes = b"0", size: int = 0, target: bytes = b"", mode: bytes = b"0000644\0") -> bytes:
    before = b""
    if len(name) > 100:
        before, name = long_name(name + b"\0"), b"long"
    if len(target) > 100:
        before, target = before + long_name(target + b"\0", b"K"), b"long"
    return before + block(name, kind=kind, size=size, target=target, mode=mode)


def make_layer(
    *members: bytes,
    end: bytes = END,
    compress: Callable[[bytes], bytes] = lambda data: data,
    media_type: str = "",
) -> Layer:
    """A layer with right digests."""
    archive = b"".join(members) + end
    return make_blob(compress(archive), media_type=media_type, diff_id=digest_of(archive))


def make_blob(blob: bytes, *, media_type: str = "", diff_id: str | None = None) -> Layer:
    return Layer(lambda: io.BytesIO(blob), media_type, digest_of(blob), len(blob), diff_id)


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def gzipped(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)
