"""What was written as an image is read as the same tree, and nothing else is read at all."""

from __future__ import annotations

import io
import random
import stat
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.disk.test_erofs import make_rich_tree, put, put_file
from tests.unit.disk.trees import describe, trees, write_bytes

from banger.disk.erofs_file import Damaged
from banger.disk.erofs_format import BLOCK, DIRENT, INODE, SUPERBLOCK, SUPERBLOCK_OFFSET, encode_superblock
from banger.disk.erofs_reader import read_erofs
from banger.disk.members import ArchiveMembers
from banger.disk.paths import find
from banger.disk.tree import Body, Node, Tree
from banger.disk.windows import open_body


@settings(max_examples=150)
@given(tree=trees())
def test_a_tree_comes_back_from_its_image(tree: Tree) -> None:
    image = write_bytes(tree)
    found = read_erofs(io.BytesIO(image))
    assert describe(found) == describe(tree)
    assert write_bytes(found) == image


def test_large_directories_long_links_and_files_in_two_places() -> None:
    tree = make_rich_tree()
    image = write_bytes(tree)
    found = read_erofs(io.BytesIO(image))
    assert describe(found) == describe(tree)
    assert write_bytes(found) == image


@pytest.mark.parametrize("size", [0, 1, 1984, 1985, 4096, 4097, 6080, 6081, 3 * BLOCK, (1 << 20) + 5, (2 << 20) + 4000])
def test_contents_are_read_from_anywhere(size: int) -> None:
    content = random.Random(size).randbytes(size)
    tree = Tree()
    put_file(tree, b"before", b"b" * 5000)
    put_file(tree, b"file", content)
    found = read_erofs(io.BytesIO(write_bytes(tree)))
    inode = find(found, b"file")
    assert inode is not None
    body = found.body(inode)
    assert body.read() == content
    assert body.read(1000) == content[:1000]
    import threading

    with open_body(body, threading.Lock()) as file:
        for position in (0, max(0, size - 4100), max(0, size - 10), size // 2):
            file.seek(position)
            assert file.read(5000) == content[position : position + 5000]


def test_sparse_files_are_their_content() -> None:
    from array import array

    tree = Tree()
    body = Body(io.BytesIO(b"x" * 10 + b"y" * 5000), 0, 3 << 20, array("Q", (100, 10, 2 << 20, 5000)))
    put(tree, b"f", Node(mode=stat.S_IFREG | 0o644, body=body))
    found = read_erofs(io.BytesIO(write_bytes(tree)))
    assert describe(found) == describe(tree)


def test_a_flipped_bit_in_metadata_is_always_noticed() -> None:
    image = write_bytes(make_rich_tree())
    meta_bytes = len(image) - BLOCK
    tree = read_erofs(io.BytesIO(image))
    data_begin = min(
        tree.body(inode).offset
        for name in (b"beyond the inline limit", b"block", b"long")
        if (inode := find(tree, name)) is not None and tree.body(inode).offset < 1 << 63
    )
    assert data_begin < meta_bytes
    chance = random.Random(1)
    for _ in range(1500):
        place = chance.randrange(data_begin)
        changed = bytearray(image)
        changed[place] ^= 1 << chance.randrange(8)
        with pytest.raises(Damaged):
            read_erofs(io.BytesIO(changed))


@pytest.mark.parametrize("kept", [0, 100, 1024, 4095, 4096, 5000, 8192, -1, -4096])
def test_a_cut_image_is_damaged(kept: int) -> None:
    with pytest.raises(Damaged):
        read_erofs(io.BytesIO(write_bytes(make_rich_tree())[:kept]))


def test_something_after_the_image_is_damage() -> None:
    with pytest.raises(Damaged):
        read_erofs(io.BytesIO(write_bytes(Tree()) + bytes(BLOCK)))


def reseal(image: bytes, meta_end: int) -> bytes:
    """The image with what its superblock says of the metadata made right again, as an attacker would."""
    import hashlib

    fields = SUPERBLOCK.unpack_from(image, SUPERBLOCK_OFFSET)
    uuid = hashlib.sha256(image[BLOCK:meta_end]).digest()[:16]
    return encode_superblock(fields[6], fields[9], uuid) + image[BLOCK:]


def make_small() -> tuple[bytes, int]:
    """Two directories with a file, and where the metadata ends: with the last inode."""
    tree = Tree()
    put_file(tree, b"d/f", b"x" * 10)
    put_file(tree, b"e/g", b"y" * 10)
    ArchiveMembers(tree).link(b"e/h", b"d/f")
    image = write_bytes(tree)
    return image, len(image.rstrip(b"\0"))


@settings(max_examples=400)
@given(data=st.data())
def test_images_that_are_made_to_harm_are_refused_or_read(data: st.DataObject) -> None:
    """Whatever metadata says, it is `Damaged` or a tree that can be walked."""
    image, meta_end = make_small()
    changed = bytearray(image)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(BLOCK, meta_end - 1))
        width = data.draw(st.sampled_from((1, 2, 4)))
        value = data.draw(st.integers(0, 40) | st.integers(0, (1 << 8 * width) - 1))
        if place + width <= meta_end:
            struct.pack_into({1: "<B", 2: "<H", 4: "<I"}[width], changed, place, value)
    try:
        tree = read_erofs(io.BytesIO(reseal(bytes(changed), meta_end)))
    except Damaged:
        return
    assert write_bytes(tree) == reseal(bytes(changed), meta_end)


def test_what_was_found_by_chance() -> None:
    """Bytes of an entry that mean nothing, and a content whose blocks begin with the superblock."""
    image, meta_end = make_small()
    names_at = BLOCK + INODE.size
    file_at = image.index(b"y" * 10) - INODE.size
    assert stat.S_ISREG(int.from_bytes(image[file_at + 4 : file_at + 6], "little"))
    for place, value in ((names_at + DIRENT.size - 1, b"\1"), (file_at + 8, (2 * BLOCK + 10).to_bytes(8, "little"))):
        changed = image[:place] + value + image[place + len(value) :]
        with pytest.raises(Damaged):
            read_erofs(io.BytesIO(reseal(changed, meta_end)))
