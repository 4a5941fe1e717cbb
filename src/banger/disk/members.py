"""Putting the members of an archive into a tree.

An archive of a root file system says everything once: what could be read in two ways, such as a file that lies below a
symbolic link, is refused. Layers have rules of their own, see `layering`.
"""

from __future__ import annotations

import stat
from typing import Protocol

from banger.disk.paths import find, shown, split_path
from banger.disk.tree import ROOT, Node, Tree, Unusable


def check_link(target: bytes) -> None:
    """Refuse a hard link to a path that cannot be in the archive."""
    try:
        split_path(target)
    except Unusable as error:
        raise Unusable(f"is a hard link to {shown(target)}, which {error}") from error


class Members(Protocol):
    """Takes members in the order of an archive. Raises `Unusable`."""

    def put(self, path: bytes, node: Node) -> None:
        """A member with an inode of its own."""

    def link(self, path: bytes, target: bytes) -> None:
        """A hard link to an earlier member."""


class ArchiveMembers:
    """Grows a tree by the members of one archive."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree

    def put(self, path: bytes, node: Node) -> None:
        """Put `node` at `path`. A later file replaces an earlier one; a directory keeps its children.

        Missing parents are made. Refused are a parent that is not a directory, and what would replace a directory that
        is not empty.
        """
        tree = self._tree
        parts = split_path(path)
        if not parts:
            if not node.is_directory:
                raise Unusable("replaces the root with something that is not a directory")
            tree.set_attributes(ROOT, node)
            return
        directory = self._find_parent(parts)
        present = tree.entries.find(directory, parts[-1])
        if present and node.is_directory and tree.is_directory(tree.entries.inode[present]):
            tree.set_attributes(tree.entries.inode[present], node)
            return
        self._place(directory, parts[-1], tree.add_inode(node), present)

    def link(self, path: bytes, target: bytes) -> None:
        """Make `path` another name of what is at `target`. Refused when that is missing or a directory."""
        tree = self._tree
        parts = split_path(path)
        check_link(target)
        inode = find(tree, target)
        if inode is None or tree.is_directory(inode) or not parts:
            raise Unusable(f"is a hard link to {shown(target)}, which is nothing that can be linked")
        directory = self._find_parent(parts)
        present = tree.entries.find(directory, parts[-1])
        if not present or tree.entries.inode[present] != inode:
            self._place(directory, parts[-1], inode, present)

    def _place(self, directory: int, name: bytes, inode: int, present: int) -> None:
        tree = self._tree
        if present and tree.is_directory(tree.entries.inode[present]):
            if next(tree.entries.children(tree.entries.inode[present]), None) is not None:
                raise Unusable("replaces a directory that is not empty")
            tree.remove(present)
            present = 0
        if present:
            tree.replace(present, inode)
        else:
            tree.add(directory, name, inode)

    def _find_parent(self, parts: tuple[bytes, ...]) -> int:
        tree = self._tree
        directory = ROOT
        for part in parts[:-1]:
            entry = tree.entries.find(directory, part)
            if not entry:
                entry = tree.add(directory, part, tree.add_inode(Node(mode=stat.S_IFDIR | 0o755)))
            directory = tree.entries.inode[entry]
            if not tree.is_directory(directory):
                raise Unusable("lies below something that is not a directory")
        return directory
