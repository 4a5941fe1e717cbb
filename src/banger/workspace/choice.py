"""Which parts of a repository are copied, and how: the user's choices, checked. Pure."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from typing import Final, Literal, get_args

from banger.core.errors import Invalid
from banger.core.untrusted import printable

Mode = Literal["overlay", "full-copy"]
MODES: Final[tuple[str, ...]] = get_args(Mode)

_REVISION_LIMIT: Final = 256
_GUEST_PATH_LIMIT: Final = 1024
_NOT_IN_BRANCH: Final = frozenset(" ~^:?*[\\\x7f")
# Directories that a guest needs for itself, or would not keep.
_TAKEN: Final = frozenset(
    ("bin", "boot", "dev", "etc", "lib", "lib32", "lib64", "libx32", "proc", "run", "sbin", "sys", "usr", "var")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """`overlay`: the newest history, and the tracked files as they are here. `full-copy`: all of history, with branches
    and tags, and submodules too.

    `branch` is one that only the guest has. It begins at the commit `start`, whose files then travel as they were
    committed; by default at HEAD, and then the files are those that are here.
    """

    mode: Mode = "overlay"
    branch: str | None = None
    start: str | None = None
    include_untracked: bool = False


DEFAULT: Final = Choice()
ANYTHING: Final = Choice(mode="full-copy")  # for bringing work back: whatever could have been copied


def check_choice(choice: Choice) -> None:
    """Raise `Invalid` for impossible choices."""
    if choice.mode not in MODES:
        raise Invalid(f"there is no mode {ascii(choice.mode)}", hint="use overlay or full-copy")
    if choice.branch is not None and (problem := find_branch_problem(choice.branch)):
        raise Invalid(
            f"{ascii(choice.branch)[:100]} is not a name of a branch: {problem}", hint="use letters and hyphens"
        )
    if choice.start is None:
        return
    if choice.branch is None:
        raise Invalid("--from says where a branch begins", hint="name the branch with --branch")
    if not choice.start or choice.start.startswith("-") or not choice.start.isprintable():
        raise Invalid(f"{ascii(choice.start)[:100]} does not name a commit", hint="give an id, a branch or `HEAD~3`")
    if len(choice.start) > _REVISION_LIMIT:
        raise Invalid("what --from names is too long", hint="give an id, a branch or `HEAD~3`")
    if choice.include_untracked:
        raise Invalid(
            "--from and --include-untracked exclude each other", hint="files that are here belong to the commit here"
        )
    if choice.mode == "full-copy":
        raise Invalid("--from and --mode full-copy exclude each other", hint="leave one of them out")


def find_branch_problem(name: str) -> str | None:
    """Why git does not allow a branch of that name (git-check-ref-format(1)), or None."""
    parts = name.split("/")
    if not name or len(name.encode("utf-8", "surrogateescape")) > 200:
        return "it is empty or too long"
    if any(character < " " or character in _NOT_IN_BRANCH for character in name):
        return "it has a character that no branch has"
    if any(not part or part.startswith(".") or part.endswith(".lock") for part in parts):
        return "a part of it is empty, begins with a dot or ends with .lock"
    if name.startswith("-") or name.endswith(".") or ".." in name or "@{" in name or name in ("@", "HEAD"):
        return "git reads it as something else"
    return None


def check_guest_path(path: str) -> str:
    """The normalised path of a workspace in a guest. Raises `Invalid`."""
    hint = "give a directory such as /root/app"
    shown = printable(path, limit=100)
    if not path.startswith("/") or "\0" in path or len(path) > _GUEST_PATH_LIMIT or not path.isprintable():
        raise Invalid(f"{shown} is not an absolute path in a guest", hint=hint)
    if ".." in path.split("/"):
        raise Invalid(f"{shown} goes up again", hint=hint)
    found = "/" + posixpath.normpath(path).lstrip("/")
    top, _, below = found[1:].partition("/")
    if not top or (top in _TAKEN and not (top in ("var", "usr") and below.count("/") >= 1)):
        raise Invalid(f"{shown} belongs to the guest's system", hint=hint)
    if found in ("/root", "/home", "/tmp", "/srv", "/mnt", "/opt", "/media"):  # noqa: S108 - in a guest
        raise Invalid(f"{shown} is not for one workspace alone", hint=f"give a directory below it, such as {found}/app")
    return found
