"""Directories inside a tree that git would take for a repository, obeying its settings. Pure.

A directory is one when it has `HEAD`, and `objects` and `refs`, or a `commondir` that says where those are
(gitrepository-layout(5)). It needs no `.git` in its name: a git that is started inside of it reads its `config`, which
may name programs. Names count without regard to case, because file systems may.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

_HEAD, _OBJECTS, _REFS, _COMMON = 1, 2, 4, 8
_PARTS: Final = {b"head": _HEAD, b"objects": _OBJECTS, b"refs": _REFS, b"commondir": _COMMON}
_SPELLINGS: Final = {_HEAD: (b"HEAD", b"head"), _OBJECTS: (b"objects",), _REFS: (b"refs",), _COMMON: (b"commondir",)}


def find_git_directory(paths: Iterable[bytes], also: Callable[[bytes], bool] | None = None) -> bytes | None:
    """A directory above one of `paths` that is a repository, or None. The top of the tree does not count.

    `also` says whether a path is in the tree without being among them. Directories are gone through one after the
    other, and only those that are open are remembered: paths of a guest are long, and their directories many.
    """
    return next((place for place, parts in _walk(paths) if _is_repository(place, parts, also)), None)


def _walk(paths: Iterable[bytes]) -> Iterator[tuple[bytes, int]]:
    """Each directory once, when all of it was seen, with the parts of a repository that it has as bits."""
    opened: list[bytes] = []
    parts: list[int] = []
    for path in (*sorted(paths, key=_by_directory), b""):  # the last one is in none of them, and closes all
        *above, name = path.split(b"/")
        common = 0
        while common < min(len(above), len(opened)) and above[common] == opened[common]:
            common += 1
        while len(opened) > common:
            yield b"/".join(opened), parts[-1]
            opened.pop()
            parts.pop()
        for directory in above[common:]:
            _note(parts, directory)
            opened.append(directory)
            parts.append(0)
        _note(parts, name)


def _note(parts: list[int], name: bytes) -> None:
    if parts and len(name) <= len(b"commondir"):
        parts[-1] |= _PARTS.get(name.lower(), 0)


def _by_directory(path: bytes) -> bytes:
    """Sorts what is in a directory next to each other: no name has a NUL."""
    return path.replace(b"/", b"\0")


def _is_repository(place: bytes, parts: int, also: Callable[[bytes], bool] | None) -> bool:
    if also is not None:
        for part, names in _SPELLINGS.items():
            if not parts & part and any(also(place + b"/" + name) for name in names):
                parts |= part
            if not parts & _HEAD:
                return False
    return bool(parts & _HEAD and (parts & _COMMON or (parts & _OBJECTS and parts & _REFS)))
