"""A file tree in memory: what an archive says, before any of it becomes a file system.

Names are bytes and stay inside this tree: no name from an archive ever reaches a path of the host.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, Final

from banger.core.errors import Invalid
from banger.core.untrusted import printable

NAME_LIMIT: Final = 255
PATH_LIMIT: Final = 4095
DEPTH_LIMIT: Final = 256
NODE_LIMIT: Final = 1_000_000
HINT: Final = "give an undamaged tar archive of a root directory, such as `docker export` writes"
_FOLLOW_LIMIT: Final = 40


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
    """An inode. `mode` includes the type; its names are in the directories that hold it."""

    mode: int
    uid: int = 0
    gid: int = 0
    mtime_s: int = 0
    mtime_ns: int = 0
    xattrs: dict[bytes, bytes] | None = None
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


class Tree:
    """A root directory that grows by what an archive says. `nodes` counts names, those of implied parents too."""

    def __init__(self, *, node_limit: int = NODE_LIMIT) -> None:
        self.root = Node(mode=stat.S_IFDIR | 0o755)
        self.nodes = 1
        self._node_limit = node_limit

    def put(self, path: bytes, node: Node) -> None:
        """Put `node` at `path`. A later file replaces an earlier one; a directory keeps its children.

        Missing parents are made. Raises `Invalid` when a parent is no directory, when a directory that is not empty
        would be replaced, and when the tree grows too large.
        """
        parts = split_path(path)
        if not parts:
            if not node.is_directory:
                raise Invalid("the archive replaces the root with something that is no directory", hint=HINT)
            _copy_attributes(node, self.root)
            return
        parent = self._find_parent(parts, path)
        present = parent.children.get(parts[-1])
        if present is not None and present.is_directory and node.is_directory:
            _copy_attributes(node, present)
            return
        self._replace(parent, parts[-1], node, present=present, path=path)

    def link(self, path: bytes, target: bytes) -> None:
        """Make `path` another name of what is at `target`. Raises `Invalid` when that is missing or a directory."""
        node = find(self.root, target)
        parts = split_path(path)
        if node is None or node.is_directory or not parts:
            raise Invalid(f"the hard link {_shown(path)} points at nothing that can be linked", hint=HINT)
        parent = self._find_parent(parts, path)
        present = parent.children.get(parts[-1])
        if present is node:
            return
        self._replace(parent, parts[-1], node, present=present, path=path)
        node.links += 1

    def _replace(self, parent: Node, name: bytes, node: Node, *, present: Node | None, path: bytes) -> None:
        if present is None:
            self._count(path)
        elif present.is_directory and present.children:
            raise Invalid(f"the archive member {_shown(path)} replaces a directory that is not empty", hint=HINT)
        else:
            present.links -= 1
        parent.children[name] = node

    def _find_parent(self, parts: tuple[bytes, ...], path: bytes) -> Node:
        node = self.root
        for part in parts[:-1]:
            child = node.children.get(part)
            if child is None:
                self._count(path)
                child = Node(mode=stat.S_IFDIR | 0o755)
                node.children[part] = child
            if not child.is_directory:
                raise Invalid(f"the archive member {_shown(path)} lies below something that is no directory", hint=HINT)
            node = child
        return node

    def _count(self, path: bytes) -> None:
        self.nodes += 1
        if self.nodes > self._node_limit:
            raise Invalid(f"the archive has more than {self._node_limit} files, at {_shown(path)}", hint=HINT)


def split_path(path: bytes) -> tuple[bytes, ...]:
    """Components of an archive's path, relative to the root. Raises `Invalid` for `..`, NUL and excess."""
    if b"\0" in path or len(path) > PATH_LIMIT:
        raise Invalid(f"the archive member {_shown(path)} has a name that no file can have", hint=HINT)
    parts = tuple(part for part in path.split(b"/") if part not in (b"", b"."))
    if b".." in parts:
        raise Invalid(f"the archive member {_shown(path)} leaves the root", hint=HINT)
    if len(parts) > DEPTH_LIMIT or any(len(part) > NAME_LIMIT for part in parts):
        raise Invalid(f"the archive member {_shown(path)} has a name that no file can have", hint=HINT)
    return parts


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
    pending = _reversed_parts(path)
    stack: list[tuple[bytes, Node]] = []
    followed = 0
    while pending:
        part = pending.pop()
        if part == b"..":
            if stack:
                stack.pop()
            continue
        child = (stack[-1][1] if stack else root).children.get(part)
        if child is None:
            return None
        if not child.is_symlink:
            stack.append((part, child))
            continue
        followed += 1
        if followed > _FOLLOW_LIMIT:  # as the kernel does (path_resolution(7))
            return None
        if child.target.startswith(b"/"):
            stack.clear()
        pending += _reversed_parts(child.target)
    return b"/" + b"/".join(name for name, _ in stack), stack[-1][1] if stack else root


def walk(root: Node) -> Iterator[tuple[bytes, Node]]:
    """Every name with its node, parents first, children in the order of their bytes; the root is `b""`."""
    waiting: list[tuple[bytes, Node]] = [(b"", root)]
    while waiting:
        path, node = waiting.pop()
        yield path, node
        prefix = path + b"/" if path else b""
        waiting += [(prefix + name, node.children[name]) for name in sorted(node.children, reverse=True)]


def _reversed_parts(path: bytes) -> list[bytes]:
    return [part for part in reversed(path.split(b"/")) if part not in (b"", b".")]


def _copy_attributes(source: Node, target: Node) -> None:
    target.mode, target.uid, target.gid = source.mode, source.uid, source.gid
    target.mtime_s, target.mtime_ns, target.xattrs = source.mtime_s, source.mtime_ns, source.xattrs


def _shown(path: bytes) -> str:
    return printable(path, limit=200)
