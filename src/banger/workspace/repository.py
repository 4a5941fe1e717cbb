"""What a repository on the host is, found out without running anything it brings along."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from banger.core.errors import BangerError, Denied, Invalid, Unsupported
from banger.core.processes import CommandFailed
from banger.core.untrusted import printable
from banger.workspace.git import git

_CREDENTIALS: Final = re.compile(r"^([a-z][a-z0-9+.-]*://)[^/@]*@", re.IGNORECASE)
_GITLINK: Final = "160000"
_UNSAFE_IN_NAME: Final = re.compile(rb"[^A-Za-z0-9._+-]")


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexEntry:
    """A tracked file. `mode` as in the index: 100644, 100755 or 120000."""

    path: bytes
    mode: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """A repository with a work tree. `head` is None before the first commit, `branch` None when HEAD is detached."""

    top: Path
    git_directory: Path
    common_directory: Path
    object_format: str
    head: str | None
    branch: str | None
    shallow: bool
    entries: tuple[IndexEntry, ...]
    untracked_count: int
    user_name: str
    user_email: str
    origin: str


async def inspect_repository(path: Path) -> Repository:
    """Look at the repository around `path`.

    Raises `Invalid` (with a hint) for what cannot be a workspace: no directory, no repository, a bare one, one with
    submodules; `Denied` for somebody else's.
    """
    if not path.is_dir():
        raise Invalid(f"there is no directory {printable(os.fsencode(path))}", hint="give the path of a git repository")
    top, git_directory, common_directory = await _find_directories(path)
    listing, described = await asyncio.gather(_list_entries(top), _describe(top))
    untracked = await _count_untracked(top)
    name, branch, shallow, object_format, config = described
    return Repository(
        top=top,
        git_directory=git_directory,
        common_directory=common_directory,
        object_format=object_format,
        head=name,
        branch=branch,
        shallow=shallow,
        entries=listing,
        untracked_count=untracked,
        user_name=config.get("user.name", ""),
        user_email=config.get("user.email", ""),
        origin=_CREDENTIALS.sub(r"\1", config.get("remote.origin.url", "")),
    )


def plan_guest_path(repository: Repository) -> str:
    """Where the workspace is in the guest: `/root/` and the repository's own name, made harmless."""
    name = _UNSAFE_IN_NAME.sub(b"-", os.fsencode(repository.top.name)).decode("ascii").strip("-.")[:100]
    return f"/root/{name or 'workspace'}"


async def _find_directories(path: Path) -> tuple[Path, Path, Path]:
    shown = printable(os.fsencode(path))
    try:
        found = await git(
            ["rev-parse", "--is-bare-repository", "--is-inside-work-tree", "--absolute-git-dir", "--git-common-dir"],
            cwd=path,
        )
    except CommandFailed as error:
        said = error.completed.stderr
        if b"dubious ownership" in said:
            raise Denied(
                f"{shown} belongs to another user, whose repository could run programs as you",
                hint="clone it, and use the clone",
            ) from error
        raise Invalid(
            f"{shown} is not inside a git repository", hint="run `git init` there, or leave the path out"
        ) from error
    lines = found.stdout.split(b"\n")
    if lines[0] == b"true":
        raise Invalid(f"{shown} is a bare repository, which has no files", hint="clone it, and use the clone")
    if lines[1] != b"true":
        raise Invalid(f"{shown} is inside a .git directory", hint="give the directory above it")
    top = (await git(["rev-parse", "--show-toplevel"], cwd=path)).stdout[:-1]
    common = Path(os.fsdecode(lines[3]))
    return Path(os.fsdecode(top)), Path(os.fsdecode(lines[2])), common if common.is_absolute() else path / common


async def _list_entries(top: Path) -> tuple[IndexEntry, ...]:
    listed = (await git(["ls-files", "-z", "--cached", "--stage"], cwd=top)).stdout
    entries: list[IndexEntry] = []
    for record in listed.split(b"\0")[:-1]:
        head, _, path = record.partition(b"\t")
        mode, _, stage = head.decode("ascii").split(" ")
        if mode == _GITLINK:
            raise Invalid(
                f"the repository has a submodule at {printable(path)}, and submodules are not copied",
                hint="use the submodule's own repository as the workspace, or a clone without it",
            )
        if stage != "0":
            raise Invalid(
                f"{printable(path)} has an unfinished merge", hint="finish or abort the merge (`git status` tells)"
            )
        entries.append(IndexEntry(path=path, mode=mode))
    return tuple(entries)


async def _describe(top: Path) -> tuple[str | None, str | None, bool, str, Mapping[str, str]]:
    head = await git(["rev-parse", "--verify", "--quiet", "HEAD^{commit}"], cwd=top, accepted=(0, 1, 128))
    branch = await git(["symbolic-ref", "--quiet", "--short", "HEAD"], cwd=top, accepted=(0, 1, 128))
    facts = await git(["rev-parse", "--is-shallow-repository", "--show-object-format"], cwd=top)
    shallow, object_format = facts.stdout.decode("ascii", "replace").split("\n")[:2]
    if object_format not in ("sha1", "sha256"):
        raise Unsupported(f"the repository uses the object format {printable(object_format)}")
    return (
        head.stdout.decode("ascii", "replace").strip() or None,
        branch.stdout.decode("utf-8", "surrogateescape").rstrip("\n") or None,
        shallow == "true",
        object_format,
        await _read_config(top),
    )


async def _read_config(top: Path) -> dict[str, str]:
    """Who the user is and where the repository came from; the user's global configuration may say the first."""
    config: dict[str, str] = {}
    environment = {"GIT_CONFIG_GLOBAL": os.environ.get("GIT_CONFIG_GLOBAL", os.path.expanduser("~/.gitconfig"))}  # noqa: PTH111 - as git spells it
    for key in ("user.name", "user.email", "remote.origin.url"):
        try:
            found = await git(["config", "--get", key], cwd=top, environment=environment, accepted=(0, 1, 2))
        except BangerError:
            continue
        value = found.stdout.decode("utf-8", "replace").strip()
        if value and value.isprintable():
            config[key] = value
    return config


async def _count_untracked(top: Path) -> int:
    """How many files stay behind. A courtesy: it never fails."""
    try:
        listed = await git(["ls-files", "-z", "--others", "--exclude-standard"], cwd=top, timeout_s=10.0)
    except BangerError:
        return 0
    return listed.stdout.count(b"\0")
