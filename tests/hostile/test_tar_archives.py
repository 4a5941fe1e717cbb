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
from tests.hostile.archive_cases import HOSTILE, check_reason
from tests.hostile.archives import END, block, long_name, padded, pax, record

from banger.core.errors import Invalid
from banger.disk.members import ArchiveMembers
from banger.disk.paths import find, walk
from banger.disk.tar import TarLimits, TarReader
from banger.disk.tree import Node, Tree

SMALL = TarLimits(headers=200, total_bytes=1 << 20, header_bytes=8192)


class Pipe(io.RawIOBase):
    """A source that cannot seek and gives few bytes at a time."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._data.readinto(memoryview(buffer)[:700])


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


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("reader", [read, read_pipe])
def test_hostile_archives_are_refused_with_a_printable_reason(name: str, reader: Callable[[bytes], Tree]) -> None:
    data, expected = HOSTILE[name]
    with pytest.raises(Invalid) as caught:
        reader(data)
    assert caught.value.summary.isprintable()
    assert caught.value.hint
    check_reason(caught.value.summary, expected)


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
