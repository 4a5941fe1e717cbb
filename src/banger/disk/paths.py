"""Paths within a tree, and ways through it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from banger.core.untrusted import printable
from banger.disk.tree import ROOT, Tree, Unusable

NAME_LIMIT: Final = 255
PATH_LIMIT: Final = 4095
DEPTH_LIMIT: Final = 256
FOLLOW_LIMIT: Final = 40  # as the kernel does (path_resolution(7))
_SHOWN_CHARACTERS: Final = 200


def split_path(path: bytes) -> tuple[bytes, ...]:
    """Components of an archive's path, relative to the root. Raises `Unusable` for `..`, NUL and excess."""
    if b"\0" in path or len(path) > PATH_LIMIT:
        raise Unusable("has a name that no file can have")
    parts = tuple(part for part in path.split(b"/") if part not in (b"", b"."))
    if b".." in parts:
        raise Unusable("leaves the root")
    if len(parts) > DEPTH_LIMIT or any(len(part) > NAME_LIMIT for part in parts):
        raise Unusable("has a name that no file can have")
    return parts


def shown(path: bytes) -> str:
    """A path of an archive, for messages."""
    return printable(path, limit=_SHOWN_CHARACTERS)


def reversed_parts(path: bytes) -> list[bytes]:
    """Components, `..` among them, the last first: in the order in which they are taken from the end of a list."""
    return [part for part in reversed(path.split(b"/")) if part not in (b"", b".")]


def find(tree: Tree, path: bytes) -> int | None:
    """The inode at `path`; symbolic links are not followed."""
    inode = ROOT
    for part in reversed(reversed_parts(path)):
        entry = tree.entries.find(inode, part)
        if not entry:
            return None
        inode = tree.entries.inode[entry]
    return inode


def resolve(tree: Tree, path: bytes) -> tuple[bytes, int] | None:
    """Follow symbolic links inside the tree, as the guest would. Returns the final path and inode, or None."""
    pending = reversed_parts(path)
    stack: list[tuple[bytes, int]] = []
    followed = 0
    while pending:
        part = pending.pop()
        if part == b"..":
            if stack:
                stack.pop()
            continue
        entry = tree.entries.find(stack[-1][1] if stack else ROOT, part)
        if not entry:
            return None
        inode = tree.entries.inode[entry]
        if not tree.is_symlink(inode):
            stack.append((part, inode))
            continue
        followed += 1
        if followed > FOLLOW_LIMIT:
            return None
        target = tree.target(inode)
        if target.startswith(b"/"):
            stack.clear()
        pending += reversed_parts(target)
    return b"/" + b"/".join(name for name, _ in stack), stack[-1][1] if stack else ROOT


def walk(tree: Tree, start: int = ROOT) -> Iterator[tuple[bytes, int]]:
    """Every name with its inode, parents first, children in the order of their bytes; where it starts is `b""`."""
    yield b"", start
    waiting = [(b"", tree.entries.sort(start))]
    while waiting:
        prefix, entries = waiting[-1]
        entry = next(entries, None)
        if entry is None:
            waiting.pop()
            continue
        path = prefix + tree.entries.name(entry)
        inode = tree.entries.inode[entry]
        yield path, inode
        if tree.is_directory(inode):
            waiting.append((path + b"/", tree.entries.sort(inode)))
