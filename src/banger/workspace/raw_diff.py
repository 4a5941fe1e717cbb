"""The changes of a guest's commits, file by file, judged by the same rules as patches. Pure."""

from __future__ import annotations

import re
from typing import Final

from banger.core.errors import Denied
from banger.core.untrusted import printable
from banger.workspace.embedded import find_git_directory
from banger.workspace.patch_lines import show_path
from banger.workspace.paths import find_path_problem, find_target_problem

_CHANGE: Final = re.compile(
    rb":([0-7]{6}) ([0-7]{6}) ([0-9a-f]{40}|[0-9a-f]{64}) ([0-9a-f]{40}|[0-9a-f]{64}) ([A-Z])[0-9]*"
)
_COMMIT: Final = re.compile(rb"[0-9a-f]{40}|[0-9a-f]{64}")
_FILES: Final = (b"100644", b"100755")
_LINK: Final = b"120000"
_GONE: Final = b"000000"


def parse_raw_diff(listed: bytes) -> list[tuple[bytes, str]]:
    """Judge what `git diff-tree --stdin --raw -z` prints; the symbolic links in it, by path and id of the target.

    Raises `Denied` for the first change that a patch may not make.
    """
    links: dict[tuple[bytes, str], None] = {}
    paths: dict[bytes, None] = {}
    fields = iter(listed.split(b"\0"))
    for field in fields:
        if not field or _COMMIT.fullmatch(field):
            continue
        match = _CHANGE.fullmatch(field)
        path = next(fields, b"")
        if match is None:
            raise refused_commit(path, "git lists it in a way that is not understood")
        mode = match[2]
        if mode == _GONE:
            continue
        problem = find_path_problem(path)
        if problem is not None:
            raise refused_commit(path, problem)
        paths[path] = None
        if mode == _LINK:
            links[path, match[4].decode("ascii")] = None
        elif mode not in _FILES:
            what = "a git repository of its own (a submodule)" if mode == b"160000" else f"of mode {mode.decode()}"
            raise refused_commit(path, f"it is {what}")
    repository = find_git_directory(paths)
    if repository is not None:
        raise refused_commit(repository, "it would be a git repository inside of this one")
    return list(links)


def check_link_target(path: bytes, target: bytes) -> None:
    """Raise `Denied` for a symbolic link that leaves the tree."""
    problem = find_target_problem(path, target)
    if problem is not None:
        raise refused_commit(path, f"{problem}: {printable(target, limit=200)}")


def refused_commit(path: bytes, reason: str) -> Denied:
    """The error for commits that are refused."""
    return Denied(
        f"the commits from the guest are refused at {show_path(path)}: {reason}",
        hint="no branch was made; look into the guest with `banger vm exec`",
        reason=reason,
    )
