"""Growing a tree and asking it."""

from __future__ import annotations

import stat

import pytest

from banger.disk.members import ArchiveMembers
from banger.disk.paths import find, resolve, split_path, walk
from banger.disk.tree import ROOT, Node, Tree, Unusable


def make_file() -> Node:
    return Node(mode=stat.S_IFREG | 0o644)


def make_directory(mode: int = 0o755) -> Node:
    return Node(mode=stat.S_IFDIR | mode)


def make_symlink(target: bytes) -> Node:
    return Node(mode=stat.S_IFLNK | 0o777, target=target)


class Grown:
    """A tree and what grows it."""

    def __init__(self, *, node_limit: int = 1000) -> None:
        self.tree = Tree(node_limit=node_limit)
        members = ArchiveMembers(self.tree)
        self.put, self.link = members.put, members.link

    def paths(self) -> list[bytes]:
        return [path for path, _ in walk(self.tree)]

    def node(self, path: bytes) -> Node:
        inode = find(self.tree, path)
        assert inode is not None
        return self.tree.node(inode)


def test_missing_parents_are_made() -> None:
    tree = Grown()
    tree.put(b"./a/b/c", make_file())
    assert tree.paths() == [b"", b"a", b"a/b", b"a/b/c"]
    assert tree.tree.nodes == 4


def test_walk_goes_parents_first_in_the_order_of_bytes() -> None:
    tree = Grown()
    for path in (b"b", b"a\xff", b"a/z", b"B"):
        tree.put(path, make_file())
    assert tree.paths() == [b"", b"B", b"a", b"a/z", b"a\xff", b"b"]


def test_a_later_directory_keeps_the_children_and_gives_its_attributes() -> None:
    tree = Grown()
    tree.put(b"d/f", make_file())
    tree.put(b"d/", make_directory(0o700))
    assert stat.S_IMODE(tree.node(b"d").mode) == 0o700
    assert tree.paths() == [b"", b"d", b"d/f"]


def test_the_root_takes_attributes() -> None:
    tree = Grown()
    tree.put(b"f", make_file())
    tree.put(b"./", Node(mode=stat.S_IFDIR | 0o711, uid=3))
    assert (stat.S_IMODE(tree.node(b"").mode), tree.node(b"").uid, tree.paths()) == (0o711, 3, [b"", b"f"])


def test_hard_links_share_a_node_and_count() -> None:
    tree = Grown()
    tree.put(b"a", make_file())
    tree.link(b"b", b"a")
    tree.link(b"b", b"a")
    assert find(tree.tree, b"a") == find(tree.tree, b"b")
    assert tree.node(b"a").links == 2
    tree.put(b"b", make_file())
    assert tree.node(b"a").links == 1


@pytest.mark.parametrize("target", [b"missing", b"d", b"", b"f/below"])
def test_a_hard_link_needs_a_file(target: bytes) -> None:
    tree = Grown()
    tree.put(b"d/x", make_file())
    tree.put(b"f", make_file())
    with pytest.raises(Unusable):
        tree.link(b"new", target)


def test_a_hard_link_to_a_symlink_is_the_symlink() -> None:
    tree = Grown()
    tree.put(b"s", make_symlink(b"/etc"))
    tree.link(b"t", b"s")
    assert tree.node(b"t").is_symlink


def test_nothing_lies_below_a_symlink() -> None:
    tree = Grown()
    tree.put(b"s", make_symlink(b"/etc"))
    with pytest.raises(Unusable, match="not a directory"):
        tree.put(b"s/passwd", make_file())


def test_a_directory_with_content_is_not_replaced() -> None:
    tree = Grown()
    tree.put(b"d/f", make_file())
    with pytest.raises(Unusable, match="not empty"):
        tree.put(b"d", make_symlink(b"/"))
    with pytest.raises(Unusable, match="not empty"):
        tree.link(b"d", b"d/f")


def test_the_root_is_never_replaced() -> None:
    tree = Grown()
    tree.put(b"f", make_file())
    for path in (b"", b"/", b"./."):
        with pytest.raises(Unusable):
            tree.put(path, make_file())
        with pytest.raises(Unusable):
            tree.link(path, b"f")


def test_implied_parents_count_against_the_limit() -> None:
    tree = Grown(node_limit=100)
    with pytest.raises(Unusable, match="one more than 100 files"):
        tree.put(b"/".join([b"x"] * 200), make_file())


@pytest.mark.parametrize(
    "path", [b"../x", b"a/../../b", b"a/..", b"a\0b", b"x" * 256, b"a/" * 300, b"a/b/" * 2000], ids=repr
)
def test_names_that_are_refused(path: bytes) -> None:
    with pytest.raises(Unusable):
        split_path(path)


def test_split_path_drops_what_says_nothing() -> None:
    assert split_path(b"//./a//b/./") == (b"a", b"b")


def test_resolve_follows_links_within_the_tree() -> None:
    tree = Grown()
    tree.put(b"usr/lib/systemd/systemd", make_file())
    tree.put(b"lib", make_symlink(b"usr/lib"))
    tree.put(b"sbin/init", make_symlink(b"/lib/../../../lib/systemd/systemd"))
    found = resolve(tree.tree, b"/sbin/init")
    assert found is not None
    assert found[0] == b"/usr/lib/systemd/systemd"


def test_resolve_gives_up_on_loops_and_dead_ends() -> None:
    tree = Grown()
    tree.put(b"a", make_symlink(b"b"))
    tree.put(b"b", make_symlink(b"a"))
    tree.put(b"c", make_symlink(b"c/c/c/c"))
    tree.put(b"f", make_file())
    assert resolve(tree.tree, b"a") is None
    assert resolve(tree.tree, b"c") is None
    assert resolve(tree.tree, b"f/x") is None
    assert resolve(tree.tree, b"nothing") is None
    assert resolve(tree.tree, b"..") == (b"/", ROOT)
