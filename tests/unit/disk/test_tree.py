"""Growing a tree and asking it."""

from __future__ import annotations

import stat

import pytest

from banger.core.errors import Invalid
from banger.disk.tree import Node, Tree, find, resolve, split_path, walk


def make_file() -> Node:
    return Node(mode=stat.S_IFREG | 0o644)


def make_directory(mode: int = 0o755) -> Node:
    return Node(mode=stat.S_IFDIR | mode)


def make_symlink(target: bytes) -> Node:
    return Node(mode=stat.S_IFLNK | 0o777, target=target)


def test_missing_parents_are_made() -> None:
    tree = Tree()
    tree.put(b"./a/b/c", make_file())
    assert [path for path, _ in walk(tree.root)] == [b"", b"a", b"a/b", b"a/b/c"]
    assert tree.nodes == 4


def test_walk_goes_parents_first_in_the_order_of_bytes() -> None:
    tree = Tree()
    for path in (b"b", b"a\xff", b"a/z", b"B"):
        tree.put(path, make_file())
    assert [path for path, _ in walk(tree.root)] == [b"", b"B", b"a", b"a/z", b"a\xff", b"b"]


def test_a_later_directory_keeps_the_children_and_gives_its_attributes() -> None:
    tree = Tree()
    tree.put(b"d/f", make_file())
    tree.put(b"d/", make_directory(0o700))
    directory = find(tree.root, b"d")
    assert directory is not None
    assert stat.S_IMODE(directory.mode) == 0o700
    assert list(directory.children) == [b"f"]


def test_the_root_takes_attributes() -> None:
    tree = Tree()
    tree.put(b"f", make_file())
    tree.put(b"./", Node(mode=stat.S_IFDIR | 0o711, uid=3))
    assert (stat.S_IMODE(tree.root.mode), tree.root.uid, list(tree.root.children)) == (0o711, 3, [b"f"])


def test_hard_links_share_a_node_and_count() -> None:
    tree = Tree()
    tree.put(b"a", make_file())
    tree.link(b"b", b"a")
    tree.link(b"b", b"a")
    node = find(tree.root, b"a")
    assert node is not None
    assert node is find(tree.root, b"b")
    assert node.links == 2
    tree.put(b"b", make_file())
    assert node.links == 1


@pytest.mark.parametrize("target", [b"missing", b"d", b"", b"f/below"])
def test_a_hard_link_needs_a_file(target: bytes) -> None:
    tree = Tree()
    tree.put(b"d/x", make_file())
    tree.put(b"f", make_file())
    with pytest.raises(Invalid):
        tree.link(b"new", target)


def test_a_hard_link_to_a_symlink_is_the_symlink() -> None:
    tree = Tree()
    tree.put(b"s", make_symlink(b"/etc"))
    tree.link(b"t", b"s")
    found = find(tree.root, b"t")
    assert found is not None
    assert found.is_symlink


def test_nothing_lies_below_a_symlink() -> None:
    tree = Tree()
    tree.put(b"s", make_symlink(b"/etc"))
    with pytest.raises(Invalid, match="no directory"):
        tree.put(b"s/passwd", make_file())


def test_a_directory_with_content_is_not_replaced() -> None:
    tree = Tree()
    tree.put(b"d/f", make_file())
    with pytest.raises(Invalid, match="not empty"):
        tree.put(b"d", make_symlink(b"/"))
    with pytest.raises(Invalid, match="not empty"):
        tree.link(b"d", b"d/f")


def test_the_root_is_never_replaced() -> None:
    tree = Tree()
    tree.put(b"f", make_file())
    for path in (b"", b"/", b"./."):
        with pytest.raises(Invalid):
            tree.put(path, make_file())
        with pytest.raises(Invalid):
            tree.link(path, b"f")


def test_implied_parents_count_against_the_limit() -> None:
    tree = Tree(node_limit=100)
    with pytest.raises(Invalid, match="more than 100 files"):
        tree.put(b"/".join([b"x"] * 200), make_file())


@pytest.mark.parametrize(
    "path", [b"../x", b"a/../../b", b"a/..", b"a\0b", b"x" * 256, b"a/" * 300, b"a/b/" * 2000], ids=repr
)
def test_names_that_are_refused(path: bytes) -> None:
    with pytest.raises(Invalid):
        split_path(path)


def test_split_path_drops_what_says_nothing() -> None:
    assert split_path(b"//./a//b/./") == (b"a", b"b")


def test_resolve_follows_links_within_the_tree() -> None:
    tree = Tree()
    tree.put(b"usr/lib/systemd/systemd", make_file())
    tree.put(b"lib", make_symlink(b"usr/lib"))
    tree.put(b"sbin/init", make_symlink(b"/lib/../../../lib/systemd/systemd"))
    found = resolve(tree.root, b"/sbin/init")
    assert found is not None
    assert found[0] == b"/usr/lib/systemd/systemd"


def test_resolve_gives_up_on_loops_and_dead_ends() -> None:
    tree = Tree()
    tree.put(b"a", make_symlink(b"b"))
    tree.put(b"b", make_symlink(b"a"))
    tree.put(b"c", make_symlink(b"c/c/c/c"))
    tree.put(b"f", make_file())
    assert resolve(tree.root, b"a") is None
    assert resolve(tree.root, b"c") is None
    assert resolve(tree.root, b"f/x") is None
    assert resolve(tree.root, b"nothing") is None
    assert resolve(tree.root, b"..") == (b"/", tree.root)
