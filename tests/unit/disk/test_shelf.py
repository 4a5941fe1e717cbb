"""Unpacked layers that are kept for others: found again, checked, and bounded."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.fakes.images import make_tar, sha256
from tests.unit.disk.test_unpacking import make_layer, read_file

from banger.core.layers import Layer
from banger.disk.rootfs import LayerTree, open_nameless
from banger.disk.shelf import LayerShelf
from banger.disk.space import FLOOR_BYTES

MUCH = 1 << 40


def open_shelf(root: Path, *, limit_bytes: int = MUCH, free_bytes: int = MUCH) -> LayerShelf:
    return LayerShelf(root / "shelf", limit_bytes=limit_bytes, read_free=lambda _path: free_bytes)


def keep(shelf: LayerShelf, root: Path, content: bytes, *, used_at_s: float | None = None) -> str:
    with open_nameless(root) as archive:
        archive.write(content)
        shelf.keep(sha256(content), archive)
    if used_at_s is not None:
        os.utime(root / "shelf" / sha256(content).replace(":", "-"), (used_at_s, used_at_s))
    return sha256(content)


def contents(shelf: LayerShelf) -> set[str]:
    return {layer.path.name.replace("-", ":") for layer in shelf.list()}


def make_tree(layers: list[Layer], root: Path, shelf: LayerShelf) -> dict[bytes, bytes]:
    tree = LayerTree(layers, scratch=root, report=lambda done, whole: None, shelf=shelf)
    try:
        return {name: read_file(tree.tree, name) for name in (b"one", b"two")}
    finally:
        tree.close()


def refuse() -> None:
    raise AssertionError("the layer is read again")


def test_a_layer_that_was_kept_is_not_unpacked_again(tmp_path: Path) -> None:
    shelf = open_shelf(tmp_path)
    one, two = make_tar({"one": b"1" * 1000}), make_tar({"two": b"2"})
    layers = [make_layer(one), make_layer(two)]
    first = make_tree(layers, tmp_path, shelf)
    assert contents(shelf) == {sha256(one), sha256(two)}
    again = make_tree([make_layer(one, opened=refuse), make_layer(two, opened=refuse)], tmp_path, shelf)
    assert again == first
    assert contents(shelf) == {sha256(one), sha256(two)}
    assert sorted(os.listdir(tmp_path)) == ["shelf"]


@pytest.mark.parametrize("later", [False, True])
def test_a_damaged_one_is_unpacked_anew(tmp_path: Path, later: bool) -> None:
    """By this process, which has seen it whole, or another."""
    shelf = open_shelf(tmp_path)
    one, two = make_tar({"one": b"1" * 1000}), make_tar({"two": b"2"})
    layers = [make_layer(one), make_layer(two)]
    first = make_tree(layers, tmp_path, shelf)
    path = tmp_path / "shelf" / sha256(one).replace(":", "-")
    changed = bytearray(path.read_bytes())
    changed[600] ^= 1
    path.chmod(0o600)
    path.write_bytes(changed)
    os.utime(path, (1, 1))
    shelf = open_shelf(tmp_path) if later else shelf
    assert shelf.find(sha256(one)) is None
    assert not path.exists()
    assert make_tree(layers, tmp_path, shelf) == first
    assert path.read_bytes() == one


def test_it_is_read_once_in_a_process_and_again_where_its_numbers_changed(tmp_path: Path) -> None:
    """What changed without them would be taken; nothing here changes files like that."""
    digest = keep(open_shelf(tmp_path), tmp_path, b"whole")
    path = tmp_path / "shelf" / digest.replace(":", "-")
    path.chmod(0o600)
    shelf = open_shelf(tmp_path)
    opened = [shelf.find(digest), shelf.find(digest)]
    assert [file and file.read() for file in opened] == [b"whole", b"whole"]
    path.write_bytes(b"wrong")
    os.utime(path, (1, 1))
    assert shelf.find(digest) is None
    assert not path.exists()
    for file in opened:
        assert file is not None
        file.close()


def test_the_longest_unused_goes_first(tmp_path: Path) -> None:
    shelf = open_shelf(tmp_path, limit_bytes=3 * 8192)
    old, older = keep(shelf, tmp_path, b"a" * 8000, used_at_s=2), keep(shelf, tmp_path, b"b" * 8000, used_at_s=1)
    third = keep(shelf, tmp_path, b"c" * 8000, used_at_s=3)
    assert contents(shelf) == {old, older, third}
    found = shelf.find(older)
    assert found is not None
    fourth = keep(shelf, tmp_path, b"d" * 8000)
    assert contents(shelf) == {older, third, fourth}
    assert found.read(3) == b"bbb"
    found.close()
    keep(shelf, tmp_path, b"e" * 30_000)
    assert contents(shelf) == set()


def test_nothing_is_kept_where_the_disk_is_nearly_full(tmp_path: Path) -> None:
    kept = keep(open_shelf(tmp_path), tmp_path, b"a" * 8000)
    full = open_shelf(tmp_path, free_bytes=FLOOR_BYTES - 1)
    assert contents(full) == {kept}
    keep(full, tmp_path, b"b" * 8000)
    assert contents(full) == set()


def test_names_that_are_no_digest_reach_no_path(tmp_path: Path) -> None:
    shelf = open_shelf(tmp_path)
    keep(shelf, tmp_path, b"a")
    for name in ("../x", "sha256:../../x", "sha256:", "sha512:" + "0" * 128, "SHA256:" + "0" * 64):
        assert shelf.find(name) is None
        with open_nameless(tmp_path) as archive:
            shelf.keep(name, archive)
    assert len(contents(shelf)) == 1


def test_a_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    shelf = open_shelf(tmp_path)
    digest = keep(shelf, tmp_path, b"a")
    path = tmp_path / "shelf" / digest.replace(":", "-")
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert shelf.find(digest) is None
    assert shelf.list() == []


def test_a_file_that_can_have_no_name_is_not_kept(tmp_path: Path) -> None:
    shelf = open_shelf(tmp_path)
    with (tmp_path / "gone").open("w+b", 0) as archive:
        archive.write(b"a")
        (tmp_path / "gone").unlink()
        shelf.keep(sha256(b"a"), archive)
    assert shelf.list() == []


def test_what_is_kept_can_be_removed(tmp_path: Path) -> None:
    shelf = open_shelf(tmp_path)
    keep(shelf, tmp_path, b"a")
    kept = shelf.list()
    assert kept[0].size_bytes > 0
    shelf.remove(kept)
    shelf.remove(kept)
    assert shelf.list() == []
