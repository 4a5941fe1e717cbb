"""A file tree in memory: what an archive says, before any of it becomes a file system.

Names are bytes and stay inside this tree: no name from an archive ever reaches a path of the host.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO

from banger.core.errors import Invalid
from banger.core.untrusted import printable

DEPTH_LIMIT = 256
LINK_LIMIT = 40


@dataclass(frozen=True, slots=True)
class Body:
    """Where the bytes of a regular file are: a part of an open file of ours."""

    source: BinaryIO
    offset: int
    length: int

    def read(self) -> bytes:
        """All of it; for small files."""
        self.source.seek(self.offset)
        return self.source.read(self.length)


@dataclass(slots=True, eq=False)
class Node:
    """An inode. `mode` includes the type; names are in the directories that hold it."""

    mode: int
    uid: int = 0
    gid: int = 0
    mtime_s: int = 0
    mtime_ns: int = 0
    xattrs: Mapping[bytes, bytes] = field(default_factory=dict)
    body: Body | None = None
    target: bytes = b""
    device: tuple[int, int] = (0, 0)
    children: dict[bytes, Node] = field(default_factory=dict)
    links: int = 1

    @property
    def is_directory(self) -> bool:
        return stat.S_ISDIR(self.mode)

    @property
    def is_symlink(self) -> bool:
        return stat.S_ISLNK(self.mode)

    @property
    def is_regular(self) -> bool:
        return stat.S_ISREG(self.mode)


def new_root() -> Node:
    """An empty tree."""
    return Node(mode=stat.S_IFDIR | 0o755)


def split_path(path: bytes) -> tuple[bytes, ...]:
    """Components of an archive's path, relative to the root. Raises `Invalid` for `..`, NUL and excess."""
    parts = tuple(part for part in path.split(b"/") if part not in (b"", b"."))
    if b".." in parts:
        raise Invalid(f"the archive member {printable(path, limit=200)} leaves the root")
    if b"\0" in path or len(path) > 4095 or any(len(part) > 255 for part in parts) or len(parts) > DEPTH_LIMIT:
        raise Invalid(f"the archive member {printable(path, limit=200)} has a name that no file can have")
    return parts


def put(root: Node, path: bytes, node: Node) -> None:
    """Put `node` at `path`, replacing what is there; a directory that replaces a directory keeps its children.

    Missing parents are made. Raises `Invalid` when a parent is no directory.
    """
    parts = split_path(path)
    if not parts:
        if not node.is_directory:
            raise Invalid("the archive replaces the root with something that is no directory")
        node.children = root.children
        _copy_attributes(node, root)
        return
    parent = _find_parent(root, parts, path)
    present = parent.children.get(parts[-1])
    if present is not None and present.is_directory and node.is_directory:
        _copy_attributes(node, present)
        return
    if present is not None:
        present.links -= 1
    parent.children[parts[-1]] = node


def link(root: Node, path: bytes, target: bytes) -> None:
    """Make `path` another name of what is at `target`. Raises `Invalid` when that is missing or a directory."""
    node = find(root, target)
    if node is None or node.is_directory:
        raise Invalid(f"the hard link {printable(path, limit=200)} points at nothing that can be linked")
    parts = split_path(path)
    if not parts:
        raise Invalid("the archive replaces the root with a hard link")
    parent = _find_parent(root, parts, path)
    present = parent.children.get(parts[-1])
    if present is node:
        return
    if present is not None:
        if present.is_directory and present.children:
            raise Invalid(f"the hard link {printable(path, limit=200)} replaces a directory")
        present.links -= 1
    parent.children[parts[-1]] = node
    node.links += 1


def find(root: Node, path: bytes) -> Node | None:
    """What is at `path`; symbolic links are not followed."""
    node = root
    for part in split_path(path):
        child = node.children.get(part)
        if child is None:
            return None
        node = child
    return node


def resolve(root: Node, path: bytes) -> tuple[bytes, Node] | None:
    """Follow symbolic links inside the tree, as the guest would; the final path and node, or None."""
    pending = [part for part in reversed(path.split(b"/")) if part not in (b"", b".")]
    stack: list[tuple[bytes, Node]] = []
    hops = 0
    while pending:
        part = pending.pop()
        if part == b"..":
            if stack:
                stack.pop()
            continue
        child = (stack[-1][1] if stack else root).children.get(part)
        if child is None:
            return None
        if child.is_symlink:
            hops += 1
            if hops > LINK_LIMIT:
                return None
            if child.target.startswith(b"/"):
                stack.clear()
            pending += [p for p in reversed(child.target.split(b"/")) if p not in (b"", b".")]
            continue
        stack.append((part, child))
    return b"/" + b"/".join(name for name, _ in stack), stack[-1][1] if stack else root


def walk(root: Node) -> Iterator[tuple[bytes, Node]]:
    """Every name with its node, parents first, children in the order of their bytes; the root is `b""`."""
    waiting: list[tuple[bytes, Node]] = [(b"", root)]
    while waiting:
        path, node = waiting.pop()
        yield path, node
        prefix = path + b"/" if path else b""
        waiting += [(prefix + name, node.children[name]) for name in sorted(node.children, reverse=True)]


def _find_parent(root: Node, parts: tuple[bytes, ...], path: bytes) -> Node:
    node = root
    for part in parts[:-1]:
        child = node.children.get(part)
        if child is None:
            child = Node(mode=stat.S_IFDIR | 0o755)
            node.children[part] = child
        if not child.is_directory:
            raise Invalid(f"the archive member {printable(path, limit=200)} lies below something that is no directory")
        node = child
    return node


def _copy_attributes(source: Node, target: Node) -> None:
    target.mode, target.uid, target.gid = source.mode, source.uid, source.gid
    target.mtime_s, target.mtime_ns, target.xattrs = source.mtime_s, source.mtime_ns, source.xattrs
