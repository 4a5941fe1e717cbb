"""`python -m tests.hostile.large_layers CASE SCRATCH`: read layers that ask for much, and tell what became of it.

Prints the refusal, or how many names and bytes the image has, and then the most memory that this process ever had, in
KiB. The layers are made while they are read, so that they take no memory themselves.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import os
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

from tests.hostile.archives import END, block, directory, file, make_layer, padded, pax, record, zstd
from tests.hostile.layer_sparse import version_1

from banger.core.errors import Invalid
from banger.core.layers import Layer
from banger.disk.rootfs import LayerTree

Members = Callable[[], Iterator[bytes]]
Compress = Callable[[Iterator[bytes]], Iterator[bytes]]
MILLION: Final = 999_000  # and what else the case needs


def quick(name: bytes, number: int = 0, *, kind: bytes = b"0", target: bytes = b"") -> bytes:
    """A header whose time is `number`: `block` for a million of them."""
    if len(name) > 100:
        before = block(b"l", kind=b"L", size=len(name) + 1, magic=b"ustar  \0") + padded(name + b"\0")
        return before + quick(b"long", number, kind=kind)
    fields = b"0000644\x000000000\x000000000\x0000000000000\0%011o\0" % number
    head = name.ljust(100, b"\0") + fields + b"        " + kind + target.ljust(100, b"\0") + b"ustar\x0000" + bytes(247)
    return head[:148] + b"%06o\0 " % sum(head) + head[156:]


def wide() -> Iterator[bytes]:
    return (quick(b"d/%015d" % number, number) for number in range(MILLION))


def fewer() -> Iterator[bytes]:
    return itertools.islice(wide(), MILLION // 5)


def chains() -> Iterator[bytes]:
    """Every directory has one other in it, two hundred deep."""
    for number in range(MILLION // 5):
        yield quick(b"%d/" % (number // 200) + b"x/" * (number % 200), number, kind=b"5")


def hard_links() -> Iterator[bytes]:
    yield file(b"target", b"1")
    for number in range(MILLION // 3):
        yield quick(b"%06d" % number, kind=b"1", target=b"target")


def long_names() -> Iterator[bytes]:
    for number in range(MILLION):
        yield quick(b"%06d" % number + b"n" * 249, number)


def attributes() -> Iterator[bytes]:
    for number in range(MILLION):
        yield pax(record(b"SCHILY.xattr.user.a", b"%06d" % number * 600)) + quick(b"%06d" % number)


def maps() -> Iterator[bytes]:
    """Sparse files with as many pieces as there may be, each of one byte."""
    pieces = 1 << 16
    text = b"%d\n" % pieces + b"".join(b"%d\n1\n" % (2 * number) for number in range(pieces))
    member = version_1(text, bytes(pieces), real=2 * pieces)
    for number in range(100):
        yield member.replace(b"GNU.sparse.name=s", b"GNU.sparse.name=%c" % (0x41 + number))


def records() -> Iterator[bytes]:
    """Extended headers as long as they may be, of short records."""
    extension = pax(*(record(b"%05d" % number, b"") for number in range(80_000)))
    for number in range(20):
        yield extension + quick(b"%d" % number)


def replaced() -> Iterator[bytes]:
    for number in range(MILLION // 3):
        yield quick(b"same", number, kind=b"05"[number % 2 : number % 2 + 1])


def zeros() -> Iterator[bytes]:
    yield block(b"zeros", size=1 << 30)
    for _ in range(1024):
        yield bytes(1 << 20)


class Made(io.RawIOBase):
    """What an iterator gives, as a file."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        self._parts = parts
        self._pending = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._pending:
            part = next(self._parts, None)
            if part is None:
                return 0
            self._pending = part
        data = self._pending[: len(buffer)]
        self._pending = self._pending[len(data) :]
        buffer[: len(data)] = data
        return len(data)


def bundle(members: Iterator[bytes]) -> Iterator[bytes]:
    """An archive of them in larger parts."""
    pending = bytearray()
    for member in members:
        pending += member
        if len(pending) > 1 << 18:
            yield bytes(pending)
            pending.clear()
    yield bytes(pending) + END


def with_history(parts: Iterator[bytes]) -> Iterator[bytes]:
    """Compressed with as much history as is allowed."""
    options: dict[int, int] = {zstd.CompressionParameter.window_log: 26, zstd.CompressionParameter.compression_level: 1}
    compressor = zstd.ZstdCompressor(options=options)
    for part in parts:
        yield compressor.compress(part)
    yield compressor.flush()


def with_gzip(parts: Iterator[bytes]) -> Iterator[bytes]:
    compressor = zlib.compressobj(9, wbits=31)
    for part in parts:
        yield compressor.compress(part)
    yield compressor.flush()


def make_large(members: Members) -> Layer:
    """A layer that is made while it is read."""

    def make() -> Iterator[bytes]:
        return bundle(members())

    digest, size = take_digest(make())
    return Layer(lambda: cast("BinaryIO", io.BufferedReader(Made(make()), 1 << 18)), "", digest, size, None)


def take_digest(parts: Iterator[bytes]) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    for part in parts:
        digest.update(part)
        size += len(part)
    return f"sha256:{digest.hexdigest()}", size


HIDING: Final = make_layer(file(b"d/.wh..wh..opq"), directory(b"left"))
COMPRESSED: Final[dict[str, tuple[Members, Compress]]] = {
    "a million files in a directory, with 64 MiB of history": (wide, with_history),
    "a gigabyte of zeros": (zeros, with_gzip),
}
PLAIN: Final[dict[str, tuple[Members, tuple[Layer, ...]]]] = {
    "directories in chains": (chains, ()),
    "files that the next layer hides": (fewer, (HIDING,)),
    "hard links": (hard_links, ()),
    "long names": (long_names, ()),
    "attributes": (attributes, ()),
    "maps of sparse files": (maps, ()),
    "extended headers": (records, ()),
    "one file again and again": (replaced, ()),
}


def make_case(case: str, scratch: Path) -> list[Layer]:
    if case in PLAIN:
        members, above = PLAIN[case]
        return [make_large(members), *above]
    path = scratch / "layer"
    child = os.fork()
    if not child:  # what compresses takes memory of its own
        members, compress = COMPRESSED[case]
        with path.open("wb") as file:
            file.writelines(compress(bundle(members())))
        os._exit(0)
    os.waitpid(child, 0)
    with path.open("rb") as file:
        digest, size = take_digest(iter(lambda: file.read(1 << 18), b""))
    return [Layer(lambda: path.open("rb"), "", digest, size, None)]


def main() -> None:
    case, scratch = sys.argv[1], Path(sys.argv[2])
    layers = make_case(case, scratch)
    try:
        tree = LayerTree(layers, scratch=scratch, report=lambda _done, _whole: None)
    except Invalid as error:
        print(error.summary)
    else:
        tree.write_image(scratch / "image", lambda _done: None)
        print(f"{tree.tree.nodes} names, {(scratch / 'image').stat().st_size} bytes")
        tree.close()
    print(next(line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line))


if __name__ == "__main__":
    main()
