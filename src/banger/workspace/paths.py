"""Which paths and link targets a patch from a guest may name. Pure.

A path is refused when any file system that git runs on would take one of its components for `.git`: letters of
either case, trailing dots and spaces and alternate streams (NTFS), short names (`git~1`), characters that HFS+ ignores.
"""

from __future__ import annotations

import re
from typing import Final

# The code points that HFS+ leaves out when it compares names (git's utf8.c lists the same ones).
_IGNORED: Final = re.compile("[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]")
_SHORT_NAME: Final = re.compile(r"git~[0-9]+|gitmod~[0-9]+|gi[0-9a-f]{4}~[0-9]+")
_FORBIDDEN: Final = frozenset({".git", ".gitmodules"})
_UNTRACKABLE: Final = re.compile(rb"(?:^|/)(?:|\.|\.\.|\.git)(?:/|\Z)", re.IGNORECASE)
PATH_LIMIT: Final = 4095
NAME_LIMIT: Final = 255
DEPTH_LIMIT: Final = 128


def find_path_problem(path: bytes) -> str | None:
    """Why `path` may not be in a patch, or None."""
    if not path or len(path) > PATH_LIMIT or b"\0" in path:
        return "it is not a path a file can have"
    if path.startswith(b"/") or (path[1:2] == b":" and path[:1].isalpha()):
        return "it is absolute"
    if path.count(b"/") >= DEPTH_LIMIT:
        return f"its directories are nested {DEPTH_LIMIT} deep, or deeper"
    problems = map(_find_component_problem, path.split(b"/"))
    return next((problem for problem in problems if problem is not None), None)


def _find_component_problem(component: bytes) -> str | None:
    if len(component) > NAME_LIMIT:
        return "a part of it is longer than any file name"
    # A backslash is a letter here and separates directories on Windows.
    parts = component.split(b"\\")
    if component in (b"", b".") or b".." in parts:
        return "it does not stay inside the tree"
    if any(map(is_part_of_git, parts)):
        return "it is, or is spelled like, a part of git itself"
    return None


def is_part_of_git(component: bytes) -> bool:
    """Whether some file system takes the name for `.git` or `.gitmodules`."""
    name = spelled(component)
    return name in _FORBIDDEN or _SHORT_NAME.fullmatch(name) is not None


def spelled(component: bytes) -> str:
    """What the most forgiving file system would make of a name."""
    text = _IGNORED.sub("", component.decode("utf-8", "surrogateescape")).casefold()
    return text.partition(":")[0].rstrip(". ")


def find_target_problem(path: bytes, target: bytes) -> str | None:
    """Why a symbolic link at `path` may not point at `target`, or None: it must stay inside the tree.

    A `..` may only come first: after a name that is a link itself it would lead up from where *that* one leads.
    """
    if not target or len(target) > PATH_LIMIT or b"\0" in target:
        return "it has no usable target"
    if target.startswith((b"/", b"\\")) or target[1:2] == b":":
        return "its target is absolute"
    depth = path.count(b"/")
    below = False
    for component in re.split(rb"[/\\]", target):
        if component == b"..":
            depth -= 1
            if below:
                return "its target goes down and up again"
            if depth < 0:
                return "its target is outside the tree"
        elif component not in (b"", b"."):
            below = True
            if is_part_of_git(component):
                return "its target is a part of git itself"
    return None


def can_be_tracked(path: bytes) -> bool:
    """Whether git itself would take the name into an index; a crafted index may hold others."""
    if not path or len(path) > PATH_LIMIT or _UNTRACKABLE.search(path):
        return False
    return len(path) <= NAME_LIMIT or max(map(len, path.split(b"/"))) <= NAME_LIMIT
