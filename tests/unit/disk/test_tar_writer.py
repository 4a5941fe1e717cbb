"""Archives of trees: read again they are the same tree, and other programs see the same in them."""

from __future__ import annotations

import io
import stat
import tarfile
from array import array

import pytest
from hypothesis import given, settings
from tests.unit.disk.test_erofs import put, put_file
from tests.unit.disk.trees import describe, trees, write_bytes

from banger.core.errors import Invalid
from banger.disk.erofs_reader import read_erofs
from banger.disk.members import ArchiveMembers
from banger.disk.rootfs import read_tar
from banger.disk.tar_writer import encode_file, padding, tar_pieces
from banger.disk.tree import Body, Node, Tree


def archive(tree: Tree) -> bytes:
    return b"".join(tar_pieces(tree))


@settings(max_examples=150)
@given(tree=trees())
def test_a_tree_comes_back_from_its_archive(tree: Tree) -> None:
    content = archive(read_erofs(io.BytesIO(write_bytes(tree))))
    if tree.nodes == 1:
        return  # an archive of nothing is no root file system
    found = read_tar(io.BytesIO(content), spool=None)
    assert describe(found) == describe(tree)
    assert archive(found) == content
    assert write_bytes(found) == write_bytes(tree)


@settings(max_examples=60)
@given(tree=trees())
def test_another_reader_sees_the_same(tree: Tree) -> None:
    with tarfile.open(fileobj=io.BytesIO(archive(tree)), encoding="utf-8", errors="surrogateescape") as opened:
        members = opened.getmembers()
        described = describe(tree)
        assert [member.name.encode("utf-8", "surrogateescape") for member in members] == [
            path or b"." for path, *_ in described
        ]
        for member, (_, _, mode, uid, gid, seconds, nanoseconds, _, _, device, content) in zip(
            members, described, strict=True
        ):
            assert (member.mode, member.uid, member.gid) == (stat.S_IMODE(mode), uid, gid)
            assert member.mtime == pytest.approx(seconds + nanoseconds / 1e9, abs=1e-3)
            if stat.S_ISCHR(mode) and not member.islnk():
                assert (member.devmajor, member.devminor) == device
            if member.isreg():
                file = opened.extractfile(member)
                assert file is not None
                assert file.read() == content


def test_holes_are_zeros_and_pieces_are_small() -> None:
    tree = Tree()
    body = Body(io.BytesIO(b"x" * 10), 0, (5 << 20) + 1, array("Q", (3 << 20, 10)))
    put(tree, b"sparse", Node(mode=stat.S_IFREG | 0o644, body=body))
    pieces = list(tar_pieces(tree))
    assert max(map(len, pieces)) <= 1 << 20
    found = read_tar(io.BytesIO(b"".join(pieces)), spool=None)
    assert describe(found) == describe(tree)


def test_further_names_say_the_attributes_again() -> None:
    tree = Tree()
    put_file(tree, b"a", b"content", mode=0o4755)
    ArchiveMembers(tree).link(b"b", b"a")
    with tarfile.open(fileobj=io.BytesIO(archive(tree))) as opened:
        link = opened.getmember("b")
        assert (link.islnk(), link.linkname, link.mode, link.size) == (True, "a", 0o4755, 0)


def test_sockets_are_refused() -> None:
    tree = Tree()
    put(tree, b"s", Node(mode=stat.S_IFSOCK | 0o644))
    with pytest.raises(Invalid, match="s is a socket"):
        archive(tree)


def test_a_file_by_itself() -> None:
    content = encode_file(b"name", 5) + b"12345" + padding(5)
    with tarfile.open(fileobj=io.BytesIO(content + bytes(1024))) as opened:
        file = opened.extractfile("name")
        assert file is not None
        assert file.read() == b"12345"


@pytest.mark.parametrize("length", range(985, 1000))
def test_the_length_of_a_record_counts_its_own_digits(length: int) -> None:
    tree = Tree()
    node = Node(mode=stat.S_IFREG | 0o644, xattrs={b"user.a": b"v" * (length - 30)})
    put(tree, b"f", node)
    assert describe(read_tar(io.BytesIO(archive(tree)), spool=None)) == describe(tree)
