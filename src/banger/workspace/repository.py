"""Inspecting a repository on the host without running anything in it."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from banger.core.errors import BangerError, Denied, Invalid, Unsupported
from banger.core.processes import CommandFailed
from banger.core.untrusted import printable
from banger.workspace.choice import DEFAULT, Choice, check_choice
from banger.workspace.git import check_git_version, find_excludes_files, git, read_git_config
from banger.workspace.origin import strip_credentials
from banger.workspace.paths import can_be_tracked

_GITLINK: Final = b"160000"
_DIRECTORY: Final = b"040000"
_SKIPPED: Final = b"Ss"
_UNSAFE_IN_NAME: Final = re.compile(rb"[^A-Za-z0-9._+-]")
_SETTINGS: Final = r"^(user\.(name|email)|remote\.origin\.url|core\.(filemode|autocrlf|eol))$"
_COUNT_DEADLINE_S: Final = 10.0
_LIST_DEADLINE_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class Submodule:
    """A repository that is tracked at a path of another one. `head` is None if it is not checked out, or empty."""

    path: bytes
    head: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """A repository with a work tree. `head` is None before the first commit, `branch` None when HEAD is detached.

    With a `start` in the `choice`, `head` is that commit, and the files are not those of the work tree. `untracked`
    are paths that come along, `untracked_count` says how many stay behind.

    `subdirectory` is the place inside the tree that was asked for, empty for its top. Names and addresses are empty
    when the host has none. `auto_crlf` and `eol` are git's settings of these names, empty when not set.
    """

    top: Path
    subdirectory: Path
    git_directory: Path
    common_directory: Path
    object_format: str
    head: str | None
    branch: str | None
    shallow: bool
    untracked_count: int
    choice: Choice = DEFAULT
    untracked: tuple[bytes, ...] = ()
    submodules: tuple[Submodule, ...] = ()
    user_name: str
    user_email: str
    origin: str
    file_mode: bool = True
    auto_crlf: str = ""
    eol: str = ""


async def inspect_repository(path: Path, choice: Choice = DEFAULT) -> Repository:
    """Look at the repository around `path`.

    Raises `Invalid` (with a hint) for what cannot be a workspace: no directory, no repository, a bare one, one with
    submodules unless the choice is a full copy, an unfinished merge, a sparse checkout, or a choice that cannot be;
    `Denied` for somebody else's, or one that says that files elsewhere are its own; `Unsupported` for one that this
    program does not understand; `Unavailable` when git is missing or too old.
    """
    check_choice(choice)
    shown = printable(os.fsencode(path))
    if not path.exists():
        raise Invalid(f"{shown} does not exist", hint="give the path of a git repository")
    if not path.is_dir():
        raise Invalid(f"{shown} is not a directory", hint="give the path of a git repository")
    path = path.absolute()
    await check_git_version(path)
    top, git_directory, common_directory = await _find_directories(path)
    looks_at_files = choice.start is None
    checked = asyncio.create_task(
        _check_entries(top, submodules=choice.mode == "full-copy") if looks_at_files else _no_paths()
    )
    listed = asyncio.create_task(
        _list_untracked(top, courtesy=not choice.include_untracked) if looks_at_files else _no_paths()
    )
    at_head, formatted = asyncio.create_task(_read_head(top)), asyncio.create_task(_read_format(top))
    configured = asyncio.create_task(read_git_config(top, _SETTINGS))
    # All of them end before the first failure is told: nothing goes on behind the caller's back.
    await asyncio.gather(checked, listed, at_head, formatted, configured, return_exceptions=True)
    (head, branch), (shallow, object_format) = at_head.result(), formatted.result()
    untracked, settings = listed.result(), configured.result()
    submodules = [await _look_at_submodule(top, submodule) for submodule in checked.result()]
    if choice.start is not None:
        head = await _find_commit(top, choice.start)
        await _check_tree(top, head)
    if choice.branch is not None and head is None:
        raise Invalid(
            "a branch begins at a commit, and there is none yet", hint="commit something, or leave --branch out"
        )
    return Repository(
        top=top,
        subdirectory=_below(path, top),
        git_directory=git_directory,
        common_directory=common_directory,
        object_format=object_format,
        head=head,
        branch=choice.branch or branch,
        shallow=shallow,
        choice=choice,
        untracked=untracked if choice.include_untracked else (),
        untracked_count=0 if choice.include_untracked else len(untracked),
        submodules=tuple(submodules),
        user_name=_one_line(settings, "user.name"),
        user_email=_one_line(settings, "user.email"),
        origin=strip_credentials(_one_line(settings, "remote.origin.url")),
        file_mode=settings.get("core.filemode", "true").lower() not in ("false", "no", "off", "0"),
        auto_crlf=_one_of(settings, "core.autocrlf", ("true", "false", "input")),
        eol=_one_of(settings, "core.eol", ("lf", "crlf", "native")),
    )


def plan_guest_path(top: Path) -> str:
    """The default place of the workspace in the guest: `/root/` and the repository's name, made harmless."""
    name = _UNSAFE_IN_NAME.sub(b"-", os.fsencode(top.name)).decode("ascii").strip("-.")[:100]
    return f"/root/{name or 'workspace'}"


async def find_top(path: Path) -> Path:
    """The top of the repository around an existing directory. Raises as `inspect_repository` does."""
    top, _, _ = await _find_directories(path)
    return top


async def _find_directories(path: Path) -> tuple[Path, Path, Path]:
    shown = printable(os.fsencode(path))
    try:
        found = await git(["rev-parse", "--is-bare-repository", "--is-inside-work-tree"], cwd=path)
    except CommandFailed as error:
        if b"dubious ownership" in error.completed.stderr:
            raise Denied(
                f"{shown} belongs to another user, whose repository could run programs as you",
                hint="clone it, and use the clone",
            ) from error
        if b"cannot use bare repository" in error.completed.stderr:
            if ".git" in path.parts:
                raise _inside_git(shown) from error
            raise _bare(shown) from error
        if b"not a git repository" in error.completed.stderr:
            raise Invalid(
                f"{shown} is not inside a git repository", hint="run `git init` there, or leave the path out"
            ) from error
        raise
    bare, inside = (line == b"true" for line in found.stdout.splitlines())
    if bare:
        raise _bare(shown)
    if not inside:
        raise _inside_git(shown)
    # One at a time: a path may hold line feeds.
    top, git_directory, common_directory = await asyncio.gather(
        *(_find_path(path, question) for question in ("--show-toplevel", "--absolute-git-dir", "--git-common-dir"))
    )
    if not (top / ".git").is_dir() or not git_directory.samefile(top / ".git"):
        await _check_top(path, top, git_directory)
    return top, git_directory, common_directory


async def _check_top(path: Path, top: Path, git_directory: Path) -> None:
    """Raise `Denied` unless git finds the same repository at the top of the files that this one says are its own.

    Its `core.worktree` can say anything: the user's home, say, with an index that names keys there.
    """
    with suppress(CommandFailed, OSError):
        if git_directory.samefile(await _find_path(top, "--absolute-git-dir")):
            return
    raise Denied(
        f"the repository at {printable(os.fsencode(path))} says that its files are in"
        f" {printable(os.fsencode(top))}, where there is no or another repository",
        hint="`git config core.worktree` shows it; clone the repository, and use the clone",
    )


def _bare(shown: str) -> Invalid:
    return Invalid(f"{shown} is a bare repository, which has no files", hint="clone it, and use the clone")


def _inside_git(shown: str) -> Invalid:
    return Invalid(f"{shown} is inside a .git directory", hint="give the directory above it")


async def _find_path(path: Path, question: str) -> Path:
    found = await git(["rev-parse", "--path-format=absolute", question], cwd=path)
    return Path(os.fsdecode(found.stdout.removesuffix(b"\n")))


def _below(path: Path, top: Path) -> Path:
    real = path.resolve()
    return real.relative_to(top) if real.is_relative_to(top) else Path()


async def _check_entries(top: Path, *, submodules: bool) -> tuple[bytes, ...]:
    """Raise `Invalid` for tracked entries that cannot be copied. Returns the submodules."""
    found: list[bytes] = []
    listed = (await git(["ls-files", "-z", "-v", "--cached", "--stage"], cwd=top)).stdout
    for record in listed.split(b"\0")[:-1]:
        described, _, path = record.partition(b"\t")
        tag, mode, _, stage = described.split(b" ")
        shown = printable(path, limit=200)
        if mode == _GITLINK and not submodules:
            raise has_submodule(path)
        if mode == _GITLINK:
            found.append(path)
        if stage != b"0":
            raise Invalid(f"{shown} has an unfinished merge", hint="finish or abort the merge (see `git status`)")
        if mode == _DIRECTORY or (tag in _SKIPPED and not os.path.lexists(os.path.join(os.fsencode(top), path))):
            raise Invalid(
                f"the repository is a sparse checkout: {shown} is tracked but not there",
                hint="use a clone, or run `git sparse-checkout disable` first",
            )
        if not can_be_tracked(path):
            raise Invalid(f"{shown} is not a name that git tracks", hint="`git fsck` says what is wrong")
    return tuple(found)


async def _check_tree(top: Path, commit: str) -> None:
    """Raise `Invalid` for entries of a commit that cannot be copied."""
    listed = (await git(["ls-tree", "-r", "-z", commit], cwd=top, timeout_s=_LIST_DEADLINE_S)).stdout
    for record in listed.split(b"\0")[:-1]:
        described, _, path = record.partition(b"\t")
        if described.startswith(_GITLINK):
            raise has_submodule(path)
        if not can_be_tracked(path):
            raise Invalid(
                f"{printable(path, limit=200)} is not a name that git tracks", hint="`git fsck` says what is wrong"
            )


def has_submodule(path: bytes) -> Invalid:
    """The error for a submodule where none is allowed."""
    return Invalid(
        f"the repository has a submodule at {printable(path, limit=200)}, and submodules only travel in a full copy",
        hint="use --mode full-copy, or the submodule's own repository as the workspace",
    )


async def _read_head(top: Path) -> tuple[str | None, str | None]:
    head, branch = await asyncio.gather(
        git(["rev-parse", "--verify", "--quiet", "HEAD^{commit}"], cwd=top, accepted=(0, 1, 128)),
        git(["symbolic-ref", "--quiet", "HEAD"], cwd=top, accepted=(0, 1, 128)),
    )
    name = branch.stdout.decode("utf-8", "surrogateescape").removesuffix("\n")
    return (
        head.stdout.decode("ascii", "replace").strip() or None,
        name.removeprefix("refs/heads/") if name.startswith("refs/heads/") else None,
    )


async def _read_format(top: Path) -> tuple[bool, str]:
    facts = await git(["rev-parse", "--is-shallow-repository", "--show-object-format"], cwd=top)
    shallow, object_format = facts.stdout.decode("ascii", "replace").split("\n")[:2]
    if object_format not in ("sha1", "sha256"):
        raise Unsupported(
            f"the repository uses the object format {printable(object_format, limit=20)}",
            hint="use a clone with SHA-1 or SHA-256 objects",
        )
    return shallow == "true", object_format


async def _find_commit(top: Path, revision: str) -> str:
    arguments = ["rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}"]
    found = await git(arguments, cwd=top, accepted=(0, 1, 128))
    commit = found.stdout.decode("ascii", "replace").strip()
    if found.returncode != 0 or not commit:
        raise Invalid(
            f"{printable(revision, limit=100)} does not name a commit of the repository", hint="`git log` lists commits"
        )
    return commit


async def _list_untracked(top: Path, *, courtesy: bool) -> tuple[bytes, ...]:
    """The files that git neither tracks nor ignores, in the whole repository; repositories inside it are left out.

    As a `courtesy`, only to count them, it never fails and takes little time.
    """
    try:
        excludes = (f"--exclude-from={path}" for path in await find_excludes_files(top))
        arguments = ["ls-files", "-z", "--others", "--exclude-standard", *excludes]
        listed = await git(arguments, cwd=top, timeout_s=_COUNT_DEADLINE_S if courtesy else _LIST_DEADLINE_S)
    except BangerError:
        if courtesy:
            return ()
        raise
    paths = (path for path in listed.stdout.split(b"\0")[:-1] if not path.endswith(b"/"))
    return tuple(path for path in paths if can_be_tracked(path))


async def _look_at_submodule(top: Path, path: bytes) -> Submodule:
    """Only a repository of its own at exactly that place is one."""
    place = top / os.fsdecode(path)
    if not os.path.lexists(place / ".git") or place.resolve() != top.resolve() / os.fsdecode(path):
        return Submodule(path, None)
    found, _, _ = await _find_directories(place)
    head, _ = await _read_head(place) if found.resolve() == place.resolve() else (None, None)
    return Submodule(path, head)


async def _no_paths() -> tuple[bytes, ...]:
    return ()


def _one_line(settings: Mapping[str, str], name: str) -> str:
    value = settings.get(name, "").strip()
    return value if value.isprintable() else ""


def _one_of(settings: Mapping[str, str], name: str, known: tuple[str, ...]) -> str:
    value = settings.get(name, "").lower()
    return value if value in known else ""
