"""Archives made to do harm, and archives at random against another reader."""

from __future__ import annotations

import io
import os
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from banger.core.errors import Invalid
from banger.disk.members import ArchiveMembers
from banger.disk.paths import find, walk
from banger.disk.tar import TarLimits, TarReader
from banger.disk.tree import Node, Tree

END = bytes(1024)
SMALL = TarLimits(headers=200, total_bytes=1 << 20, header_bytes=4096)


class Pipe(io.RawIOBase):
    """A source that cannot seek and gives few bytes at a time."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._data.readinto(memoryview(buffer)[:700])


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


def read(data: bytes, *, limits: TarLimits = SMALL) -> Tree:
    source = io.BytesIO(data)
    tree = Tree(source, node_limit=50, metadata_bytes_limit=8_000)
    TarReader(source, ArchiveMembers(tree), limits=limits, spool=None).read()
    return tree


def read_pipe(data: bytes) -> Tree:
    spool = io.BytesIO()
    tree = Tree(spool, node_limit=50, metadata_bytes_limit=8_000)
    TarReader(io.BufferedReader(Pipe(data), 512), ArchiveMembers(tree), limits=SMALL, spool=spool).read()
    return tree


def read_whole(data: bytes) -> Tree:
    tree = Tree(source := io.BytesIO(data))
    TarReader(source, ArchiveMembers(tree), limits=TarLimits(), spool=None).read()
    return tree


def look(tree: Tree, path: bytes) -> Node:
    inode = find(tree, path)
    assert inode is not None
    return tree.node(inode)


HOSTILE = {
    "empty": b"",
    "text": b"just some text, long enough " * 40,
    "no end mark": block(),
    "half an end mark": block() + bytes(512),
    "more after half an end mark": block() + bytes(512) + block(b"hidden") + END,
    "second archive after the end": block() + END + block(b"hidden") + END,
    "cut in a header": block()[:300],
    "cut in a body": block(size=5000) + bytes(1000),
    "cut in padding": block(size=100) + bytes(100),
    "wrong checksum": block()[:10] + b"x" + block()[11:] + END,
    "unknown magic": block(magic=b"evil\0\0\0\0") + END,
    "unknown type": block(kind=b"Z") + END,
    "socket type letter": block(kind=b"s") + END,
    "sparse GNU, with data that no map has": block(kind=b"S", size=512) + bytes(512) + END,
    "sparse pax without a map": pax(record(b"GNU.sparse.major", b"1")) + block() + END,
    "parent": block(b"../etc/passwd") + END,
    "parent inside": block(b"a/../../b") + END,
    "parent in the prefix": block(b"passwd", prefix=b"..") + END,
    "parent in a long name": long_name(b"../../x\0") + block() + END,
    "parent in pax": pax(record(b"path", b"a/..")) + block() + END,
    "root as a file": block(b".") + END,
    "root as a link": block(b".", kind=b"2", target=b"/etc") + END,
    "no name": block(b"") + END,
    "NUL in pax path": pax(record(b"path", b"a\0b")) + block() + END,
    "NUL in a long name": long_name(b"a\0b\0") + block() + END,
    "name too long": long_name(b"x" * 256) + block() + END,
    "path too deep": long_name(b"a/" * 300 + b"f") + block() + END,
    "symlink then file through it": block(b"s", kind=b"2", target=b"/etc") + block(b"s/passwd") + END,
    "symlink replaces a full directory": block(b"d/f") + block(b"d", kind=b"2", target=b"/") + END,
    "symlink without target": block(kind=b"2") + END,
    "symlink with NUL target": pax(record(b"linkpath", b"a\0b")) + block(kind=b"2") + END,
    "symlink with a body": block(kind=b"2", target=b"t", size=512) + bytes(512) + END,
    "directory with a body": block(b"d/", kind=b"5", size=512) + bytes(512) + END,
    "hard link outside": block(kind=b"1", target=b"../../etc/shadow") + END,
    "hard link to nothing": block(kind=b"1", target=b"missing") + END,
    "hard link to a directory": block(b"d/", kind=b"5") + block(kind=b"1", target=b"d") + END,
    "hard link through a symlink": block(b"s", kind=b"2", target=b"/") + block(kind=b"1", target=b"s/x") + END,
    "hard link with a body": block(b"a") + block(b"b", kind=b"1", target=b"a", size=512) + bytes(512) + END,
    "size not octal": block(size=b"0000000009x\0") + END,
    "size with a sign": block(size=b"-0000000001\0") + END,
    "size negative in base 256": block(size=b"\xff" * 12) + END,
    "size of an exbibyte": block(size=b"\x80" + (1 << 60).to_bytes(11, "big")) + END,
    "size in pax disagrees": pax(record(b"size", b"1024")) + block() + bytes(1024) + END,
    "size in pax negative": pax(record(b"size", b"-1")) + block() + END,
    "size in pax not a number": pax(record(b"size", b"1e3")) + block() + END,
    "size in pax is nothing": pax(record(b"size", b"")) + block() + END,
    "size for all members": pax(record(b"size", b"0"), kind=b"g") + block() + END,
    "path for all members": pax(record(b"path", b"x"), kind=b"g") + block() + END,
    "attribute for all members": pax(record(b"SCHILY.xattr.user.a", b"x"), kind=b"g") + block() + END,
    "pax length 0": pax(b"0 path=x\n") + block() + END,
    "pax length too large": pax(b"99 path=x\n") + block() + END,
    "pax length too small": pax(b"5 path=x\n") + block() + END,
    "pax length with a sign": pax(b"+9 path=x\n") + block() + END,
    "pax length enormous": pax(b"9" * 200 + b" path=x\n") + block() + END,
    "pax without equals": pax(b"8 path \n") + block() + END,
    "pax without key": pax(b"5 =x\n") + block() + END,
    "pax without line end": pax(b"9 path=xy") + block() + END,
    "pax too large": block(kind=b"x", size=5000) + padded(bytes(5000)) + block() + END,
    "pax size of 2 GiB": block(kind=b"x", size=(2 << 30)) + END,
    "pax twice": pax(record(b"path", b"a")) + pax(record(b"path", b"b")) + block() + END,
    "long name twice": long_name(b"a") + long_name(b"b") + block() + END,
    "long name and pax disagree": long_name(b"a") + pax(record(b"path", b"b")) + block() + END,
    "headers without a member": pax(record(b"path", b"a")) + END,
    "long name without a member": long_name(b"a") + END,
    "owner of 2^32": block(uid=b"\x80" + (1 << 32).to_bytes(7, "big")) + END,
    "owner minus one": pax(record(b"uid", b"4294967295")) + block() + END,
    "owner not a number": pax(record(b"uid", b"0x0")) + block() + END,
    "mode not octal": block(mode=b"rwxr-xr-") + END,
    "time malformed": pax(record(b"mtime", b"1.2.3")) + block() + END,
    "time enormous": pax(record(b"mtime", b"9" * 18)) + block() + END,
    "device enormous": block(kind=b"3", device=b"7777777\x007777777\0") + END,
    "attribute of no namespace": pax(record(b"SCHILY.xattr.evil", b"x")) + block() + END,
    "attribute without name": pax(record(b"SCHILY.xattr.", b"x")) + block() + END,
    "attribute too large": pax(record(b"SCHILY.xattr.user.a", b"x" * 4000)) + block() + END,
    "attributes too many": pax(*(record(b"SCHILY.xattr.user.%d" % n, b"x" * 100) for n in range(36))) + block() + END,
    "too many members": b"".join(block(b"%d" % n) for n in range(60)) + END,
    "too many headers": pax(record(b"comment", b"c"), kind=b"g") * 300 + block() + END,
    "too many implied directories": block(b"a/" * 49 + b"f") + block(b"b/" * 49 + b"f") + END,
    "too much in names": b"".join(long_name(b"%d/" % n + b"x/" * 1000) + block() for n in range(20)) + END,
    "too much in files": block(size=(1 << 20) + 1) + bytes(2 << 20) + END,
    "gzip": b"\x1f\x8b\x08\0" + bytes(2000),
    "zstd": b"\x28\xb5\x2f\xfd" + bytes(2000),
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("reader", [read, read_pipe])
def test_hostile_archives_are_refused_with_a_printable_reason(name: str, reader: Callable[[bytes], Tree]) -> None:
    with pytest.raises(Invalid) as caught:
        reader(HOSTILE[name])
    assert caught.value.summary.isprintable()
    assert caught.value.hint


@pytest.mark.parametrize("name", [b"\x1b[2Jclear", b"line\nbreak", b"\xe2\x80\xaeright to left"])
def test_a_name_is_made_printable_in_the_refusal(name: bytes) -> None:
    with pytest.raises(Invalid) as caught:
        read(block(name, kind=b"Z") + END)
    assert caught.value.summary.isprintable()
    assert "\x1b" not in caught.value.summary


ALLOWED: dict[str, tuple[bytes, list[bytes]]] = {
    "absolute names are relative to the root": (block(b"/etc/passwd") + END, [b"etc", b"etc/passwd"]),
    "dots and double slashes": (block(b"./a//./b") + END, [b"a", b"a/b"]),
    "prefix": (block(b"name", prefix=b"some/where") + END, [b"some", b"some/where", b"some/where/name"]),
    "a GNU header has no prefix": (block(b"name", prefix=b"atime", magic=b"ustar  \0") + END, [b"name"]),
    "older than ustar": (
        block(b"d/", magic=bytes(8)) + block(b"d/f", kind=b"\0", magic=bytes(8)) + END,
        [b"d", b"d/f"],
    ),
    "names of any bytes": (block(b"\xff\n ") + END, [b"\xff\n "]),
    "padding to records": (block() + bytes(20 * 512), [b"file"]),
    "a later member replaces": (block(size=1) + padded(b"x") + block() + END, [b"file"]),
    "a symlink may point anywhere": (block(b"s", kind=b"2", target=b"../../../etc/shadow") + END, [b"s"]),
    "same long name twice said": (
        long_name(b"n" * 120) + pax(record(b"path", b"n" * 120)) + block() + END,
        [b"n" * 120],
    ),
    "comment for all members": (pax(record(b"comment", b"c"), kind=b"g") + block() + END, [b"file"]),
}


@pytest.mark.parametrize("name", ALLOWED)
@pytest.mark.parametrize("reader", [read, read_pipe])
def test_unusual_archives_are_read(name: str, reader: Callable[[bytes], Tree]) -> None:
    data, expected = ALLOWED[name]
    assert [path for path, _ in walk(reader(data))] == [b"", *expected]


def test_a_seekable_source_is_not_copied_and_a_pipe_is() -> None:
    data = block(size=3) + padded(b"abc") + END
    seekable, piped = look(read(data), b"file"), look(read_pipe(data), b"file")
    assert seekable.body is not None
    assert piped.body is not None
    assert (seekable.body.offset, seekable.body.read()) == (512, b"abc")
    assert (piped.body.offset, piped.body.read()) == (0, b"abc")


def test_numbers_and_times() -> None:
    tree = read(
        pax(record(b"mtime", b"-1.25"), record(b"uid", b"4000000000"), record(b"SCHILY.xattr.user.a%3Db", b"\0\n="))
        + block(b"new", mode=b"0006755\0")
        + block(b"old", mtime=b"\xff" * 12, uid=b"\x80" + (70_000).to_bytes(7, "big"))
        + block(b"null", kind=b"3", device=b"0000001\x000000003\0")
        + END
    )
    new, old, null = (look(tree, name) for name in (b"new", b"old", b"null"))
    assert (new.mtime_s, new.mtime_ns, new.uid, new.mode) == (-2, 750_000_000, 4_000_000_000, stat.S_IFREG | 0o6755)
    assert new.xattrs == {b"user.a=b": b"\0\n="}
    assert (old.mtime_s, old.uid) == (-1, 70_000)
    assert (null.device, stat.S_ISCHR(null.mode)) == ((1, 3), True)


def test_progress_is_the_bytes_read() -> None:
    told: list[int] = []
    data = block(size=9 << 20) + bytes(9 << 20) + END
    members = ArchiveMembers(Tree())
    TarReader(io.BufferedReader(Pipe(data)), members, limits=TarLimits(), spool=io.BytesIO(), report=told.append).read()
    assert told == sorted(set(told))
    assert len(told) == 2


names = st.lists(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1, max_size=40).filter(
        lambda name: name not in (".", "..") and len(name.encode()) <= 255
    ),
    min_size=1,
    max_size=5,
).map("/".join)
contents = st.binary(max_size=1500)
formats = st.sampled_from([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])


@settings(deadline=None)
@given(members=st.dictionaries(names, contents, max_size=12), tar_format=formats, mtime=st.integers(0, 1 << 33))
def test_what_tarfile_writes_is_read_alike(members: dict[str, bytes], tar_format: int, mtime: int) -> None:
    buffer = io.BytesIO()
    written: dict[str, bytes] = {}
    with tarfile.open(fileobj=buffer, mode="w", format=tar_format, encoding="utf-8") as archive:
        for name, content in members.items():
            if any(name.startswith(other + "/") or other.startswith(name + "/") for other in written):
                continue
            info = tarfile.TarInfo(name)
            info.size, info.mtime, info.uid = len(content), mtime, 1000
            try:
                archive.addfile(info, io.BytesIO(content))
            except ValueError:  # a name that ustar has no room for
                continue
            written[name] = content
    if not written:
        return
    tree = read_whole(buffer.getvalue())
    nodes = {path: tree.node(inode) for path, inode in walk(tree)}
    files = {path: node for path, node in nodes.items() if node.is_regular}
    assert {path.decode(): read_body(node) for path, node in files.items()} == written
    assert {(node.mtime_s, node.uid) for node in files.values()} == {(mtime, 1000)}


@settings(deadline=None, max_examples=300)
@given(data=st.binary(max_size=3000) | st.lists(st.binary(min_size=512, max_size=512), max_size=5).map(b"".join))
def test_bytes_at_random_are_refused_and_nothing_else(data: bytes) -> None:
    with pytest.raises(Invalid):
        read(data)


VALID = (
    pax(record(b"path", b"dir/long name"), record(b"mtime", b"5.5"), record(b"SCHILY.xattr.user.a", b"v"))
    + block(size=3)
    + padded(b"abc")
    + block(b"dir/second", kind=b"1", target=b"dir/long name")
    + long_name(b"x" * 150)
    + block(kind=b"2", target=b"dir")
    + END
)


@settings(deadline=None, max_examples=500)
@given(changes=st.lists(st.tuples(st.integers(0, len(VALID) - 1), st.integers(0, 255)), max_size=3), fix=st.booleans())
def test_a_damaged_archive_is_read_or_refused(changes: list[tuple[int, int]], fix: bool) -> None:
    data = bytearray(VALID)
    for position, value in changes:
        data[position] = value
        if fix:
            start = position // 512 * 512
            checksum = sum(data[start : start + 148]) + 256 + sum(data[start + 156 : start + 512])
            data[start + 148 : start + 156] = b"%06o\0 " % checksum
    try:
        tree = read(bytes(data))
    except Invalid as error:
        assert error.summary.isprintable()  # noqa: PT017 - both outcomes are right
        return
    for path, inode in walk(tree):
        assert b".." not in path.split(b"/")
        assert tree.node(inode).links >= (1 if path else 0)


def read_body(node: Node) -> bytes:
    assert node.body is not None
    return node.body.read()


def test_the_bodies_of_a_file_on_disk_are_read_in_place(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    content = os.urandom(100_000)
    path.write_bytes(block(size=len(content)) + padded(content) + END)
    source: BinaryIO
    with path.open("rb") as source:
        tree = Tree(source)
        TarReader(source, ArchiveMembers(tree), limits=TarLimits(), spool=None).read()
        assert read_body(look(tree, b"file")) == content
