"""The EROFS writer against the reference tools of the format (erofs-utils)."""

from __future__ import annotations

import io
import os
import shutil
import stat
import struct
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from banger.core.errors import Invalid
from banger.disk.erofs import write_erofs
from banger.disk.erofs_format import BLOCK, crc32c
from banger.disk.members import ArchiveMembers
from banger.disk.paths import walk
from banger.disk.rootfs import write_image
from banger.disk.tree import Body, Node, Tree

needs_erofs_utils = pytest.mark.skipif(shutil.which("fsck.erofs") is None, reason="erofs-utils is not installed")


def put(tree: Tree, path: bytes, node: Node) -> None:
    ArchiveMembers(tree).put(path, node)


def put_file(tree: Tree, path: bytes, content: bytes, *, mode: int = 0o644) -> None:
    put(tree, path, Node(mode=stat.S_IFREG | mode, body=Body(io.BytesIO(content), 0, len(content))))


def write(tree: Tree) -> bytes:
    with tempfile.TemporaryFile() as output:
        size = write_erofs(tree, output)
        output.seek(0)
        image = output.read()
    assert size == len(image)
    return image


def check(image: bytes, directory: Path) -> Path:
    path = directory / "image.erofs"
    path.write_bytes(image)
    checked = subprocess.run(["fsck.erofs", path], capture_output=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    return path


def extract(image: bytes, directory: Path) -> Path:
    path = check(image, directory)
    target = directory / "extracted"
    shutil.rmtree(target, ignore_errors=True)
    subprocess.run(["fsck.erofs", f"--extract={target}", "--no-preserve-owner", path], capture_output=True, check=True)
    return target


def make_rich_tree() -> Tree:
    tree = Tree()
    put(tree, b"", Node(mode=stat.S_IFDIR | 0o755, mtime_s=1_600_000_000, mtime_ns=5))
    put_file(tree, b"empty", b"")
    put_file(tree, b"short", b"short\n", mode=0o4755)
    put_file(tree, b"block", bytes(range(256)) * 16)
    put_file(tree, b"inline limit", b"i" * 1984)
    put_file(tree, b"beyond the inline limit", b"j" * 1985)
    put_file(tree, b"long", os.urandom(300_001))
    put_file(tree, b"name \xff\n\xe2\x80\xae", b"odd")
    ArchiveMembers(tree).link(b"second name", b"long")
    put(tree, b"link", Node(mode=stat.S_IFLNK | 0o777, target=b"directory/" + b"t" * 200))
    put(tree, b"very long link", Node(mode=stat.S_IFLNK | 0o777, target=b"l/" * 2000))
    for number in range(700):
        put_file(tree, b"directory/%04d-%s" % (number, b"n" * (number % 200)), b"%d" % number)
    return tree


@needs_erofs_utils
def test_contents_come_back(tmp_path: Path) -> None:
    tree = make_rich_tree()
    target = extract(write(tree), tmp_path)
    for path, inode in walk(tree):
        node = tree.node(inode)
        found = os.fsencode(target) + b"/" + path
        if node.is_regular:
            assert node.body is not None
            with open(found, "rb") as file:
                assert file.read() == node.body.read()
        elif node.is_symlink:
            assert os.readlink(found) == node.target
    assert {os.fsencode(path.name) for path in target.iterdir()} == {
        path for path, _ in walk(tree) if path and b"/" not in path
    }
    assert len(list((target / "directory").iterdir())) == 700


@needs_erofs_utils
def test_the_superblock_is_as_the_tools_read_it(tmp_path: Path) -> None:
    path = check(write(make_rich_tree()), tmp_path)
    shown = subprocess.run(["dump.erofs", path], capture_output=True, check=True).stdout.decode()
    assert "0xE0F5E1E2" in shown
    assert "sb_csum" in shown
    assert "711" in shown.split("inode count:")[1].splitlines()[0]


@needs_erofs_utils
def test_an_inode_is_as_the_tools_read_it(tmp_path: Path) -> None:
    tree = Tree()
    node = Node(
        mode=stat.S_IFREG | 0o6751,
        uid=70_000,
        gid=4_000_000_000,
        mtime_s=1_700_000_000,
        xattrs={b"user.greeting": b"hello", b"security.capability": bytes(20)},
        body=Body(io.BytesIO(b"x" * 10), 0, 10),
    )
    put(tree, b"file", node)
    ArchiveMembers(tree).link(b"other", b"file")
    path = check(write(tree), tmp_path)
    shown = subprocess.run(["dump.erofs", "--path=/file", path], capture_output=True, check=True).stdout.decode()
    for part in ("Uid: 70000", "Gid: 4000000000", "Access: 0751", "Links: 2", "Size: 10", "Xattr size: 68"):
        assert part in shown
    assert "2023-11-14" in shown


@needs_erofs_utils
def test_an_empty_tree_is_an_image(tmp_path: Path) -> None:
    assert list(extract(write(Tree()), tmp_path).iterdir()) == []


def test_the_same_tree_gives_the_same_bytes() -> None:
    first, second = Tree(), Tree()
    for tree, names in ((first, (b"a", b"b/c", b"d")), (second, (b"d", b"b/c", b"a"))):
        for name in names:
            put_file(tree, name, name * 1000)
    assert write(first) == write(second)


def test_the_uuid_follows_the_content() -> None:
    trees = [Tree(), Tree()]
    put_file(trees[0], b"a", b"1")
    put_file(trees[1], b"a", b"2")
    uuids = [write(tree)[1024 + 48 : 1024 + 64] for tree in trees]
    assert uuids[0] != uuids[1]


def test_devices_are_encoded_as_the_kernel_does() -> None:
    tree = Tree()
    put(tree, b"device", Node(mode=stat.S_IFCHR | 0o600, device=(0x123, 0xABCDE)))
    image = write(tree)
    mode, encoded = stat.S_IFCHR | 0o600, 0xDE | 0x123 << 8 | 0xABC << 20
    inodes = [image[offset : offset + 64] for offset in range(BLOCK, len(image), 32)]
    assert [
        struct.unpack_from("<I", inode, 16)[0] for inode in inodes if struct.unpack_from("<H", inode, 4)[0] == mode
    ] == [encoded]


def test_crc32c_is_the_castagnoli_polynomial() -> None:
    assert crc32c(b"123456789") ^ 0xFFFF_FFFF == 0xE306_9283  # check value of CRC-32C


def test_an_attribute_outside_the_known_namespaces_is_refused() -> None:
    tree = Tree()
    put(tree, b"f", Node(mode=stat.S_IFREG | 0o644, xattrs={b"com.example": b""}))
    with pytest.raises(Invalid):
        write(tree)


def test_a_source_that_became_shorter_is_noticed_and_leaves_nothing(tmp_path: Path) -> None:
    tree = Tree()
    put(tree, b"f", Node(mode=stat.S_IFREG | 0o644, body=Body(io.BytesIO(b"x" * 10), 0, 5000)))
    with pytest.raises(Invalid, match="shorter"):
        write_image(tree, tmp_path / "image")
    assert list(tmp_path.iterdir()) == []


def test_progress_is_the_bytes_of_content() -> None:
    tree = Tree()
    put_file(tree, b"a", b"x" * 5000)
    put_file(tree, b"b", b"y" * 10)
    told: list[int] = []
    with tempfile.TemporaryFile() as output:
        write_erofs(tree, output, report=told.append)
    assert told == sorted(told)
    assert told[-1] >= 5010


names = st.binary(min_size=1, max_size=255).filter(
    lambda name: b"/" not in name and b"\0" not in name and name not in (b".", b"..")
)


@needs_erofs_utils
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files=st.dictionaries(st.tuples(names, names), st.binary(max_size=9000), max_size=30))
def test_any_tree_passes_the_reference_check(files: dict[tuple[bytes, bytes], bytes], tmp_path: Path) -> None:
    tree = Tree()
    for (directory, name), content in files.items():
        put_file(tree, directory + b"/" + name, content)
    target = os.fsencode(extract(write(tree), tmp_path))
    for (directory, name), content in files.items():
        with open(target + b"/" + directory + b"/" + name, "rb") as file:
            assert file.read() == content
