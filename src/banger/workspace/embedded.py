"""Directories inside a tree that git would take for a repository, and whose settings it would then obey. Pure.

A directory is one when it has `HEAD`, and `objects` and `refs`, or a `commondir` that says where those are
(gitrepository-layout(5)). It needs no `.git` in its name: a git that is started inside of it reads its `config`, which
may name programs. Names count without regard to case, because file systems may.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

_PARTS: Final = (b"head", b"objects", b"refs", b"commondir")


def find_git_directory(paths: Iterable[bytes], exists: Callable[[bytes], bool]) -> bytes | None:
    """A directory above one of `paths` that is a repository, or None. The top of the tree does not count.

    `exists` says whether something of that name, in small letters or as git writes it, is in the tree then.
    """
    seen: set[bytes] = set()
    for path in paths:
        for directory in _above(path):
            if directory in seen:
                break
            seen.add(directory)
            if is_git_directory(lambda name, place=directory: exists(place + b"/" + name)):  # type: ignore[misc]
                return directory
    return None


def is_git_directory(has: Callable[[bytes], bool]) -> bool:
    """Whether a directory with these names in it is a repository."""
    return (has(b"HEAD") or has(b"head")) and ((has(b"objects") and has(b"refs")) or has(b"commondir"))


def names_in_tree(paths: Iterable[bytes]) -> frozenset[bytes]:
    """All files and directories of a tree that could be parts of a repository, the last part in small letters."""
    names: set[bytes] = set()
    for path in paths:
        for name in (path, *_above(path)):
            place, slash, last = name.rpartition(b"/")
            if last.lower() in _PARTS:
                names.add(place + slash + last.lower())
    return frozenset(names)


def _above(path: bytes) -> Iterator[bytes]:
    """The directories above a path, the nearest first."""
    end = path.rfind(b"/")
    while end > 0:
        yield path[:end]
        end = path.rfind(b"/", 0, end)
