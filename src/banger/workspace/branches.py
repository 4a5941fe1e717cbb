"""The branches of a guest's repository as the guest reports them, and their names here. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from banger.core.errors import Denied, Failed
from banger.core.untrusted import printable
from banger.workspace.paths import is_part_of_git

BRANCH_LIMIT: Final = 50
_NAME_LIMIT: Final = 150
_OID: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
# Fewer names than git allows (git-check-ref-format(1)): nothing that a shell, a terminal or a file system minds.
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+=@-]*(?:/[A-Za-z0-9_][A-Za-z0-9_.+=@-]*)*")


@dataclass(frozen=True, slots=True)
class GuestBranch:
    """A branch in the guest and its commit; `HEAD` if none is checked out."""

    name: str
    commit: str


def parse_branches(said: bytes) -> list[GuestBranch]:
    """The lines `commit name` that our program in the guest prints. Raises `Failed` for anything else, `Denied` for
    more branches than anybody looks at.
    """
    branches: dict[str, GuestBranch] = {}
    for line in said.decode("utf-8", "surrogateescape").splitlines():
        commit, _, name = line.partition(" ")
        if not _OID.fullmatch(commit) or not name or name in branches:
            raise Failed(
                "the guest gave no sensible answer about its branches", hint="try `banger vm exec -- git branch`"
            )
        branches[name] = GuestBranch(name, commit)
    if len(branches) > BRANCH_LIMIT:
        raise Denied(
            f"the guest has more than {BRANCH_LIMIT} branches", hint="delete the branches there that you do not need"
        )
    return list(branches.values())


def find_name_problem(name: str) -> str | None:
    """Why a branch of the guest cannot keep its name, or None."""
    parts = name.split("/")
    if len(name) > _NAME_LIMIT or not _NAME.fullmatch(name):
        return "its name has characters that are not taken over"
    if any(part.endswith((".lock", ".")) or ".." in part or "@{" in part for part in parts):
        return "its name is none that git takes"
    if any(is_part_of_git(part.encode()) for part in parts):
        return "its name is spelled like a part of git itself"
    return None


def plan_branch(vm: str, name: str) -> str:
    """The branch's name here. Raises `Denied`."""
    problem = find_name_problem(name)
    if problem is not None:
        raise Denied(f"the branch {printable(name, limit=80)} is refused: {problem}", hint="rename it in the guest")
    return f"banger/{vm}/{name}"
