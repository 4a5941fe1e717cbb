"""What of a repository would be copied, found out without changing anything."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from banger.workspace.choice import Choice
from banger.workspace.git import git
from banger.workspace.repository import Repository, has_submodule, inspect_repository, plan_guest_path
from banger.workspace.work_tree import WorkTree

_LINK = 0o120000
_EXECUTABLE, _PLAIN = 0o100755, 0o100644


@dataclass(frozen=True, slots=True)
class ListedFile:
    """`mode` as git writes it in an index."""

    path: bytes
    mode: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """`files` by their paths below the workspace, those of submodules among them."""

    repository: Repository
    guest_path: str
    files: tuple[ListedFile, ...]


async def list_workspace(path: Path, choice: Choice, guest_path: str | None) -> Listing:
    """List what would be copied of the repository around `path`. Raises as `inspect_repository` does."""
    repository = await inspect_repository(path, choice)
    files = await list_repository(repository)
    return Listing(
        repository=repository,
        guest_path=guest_path or plan_guest_path(repository.top),
        files=tuple(sorted(files, key=_name)),
    )


async def list_repository(repository: Repository) -> list[ListedFile]:
    """Its files, and those of its submodules."""
    if repository.choice.start is not None:
        assert repository.head is not None
        listed = await git(["ls-tree", "-r", "-z", "-l", repository.head], cwd=repository.top)
        return list(_read_tree(listed.stdout))
    listed = await git(["ls-files", "-z", "--stage"], cwd=repository.top)
    tracked = [_split(record) for record in listed.stdout.split(b"\0")[:-1]]
    paths = [*tracked, *((path, 0) for path in repository.untracked)]
    files = await asyncio.to_thread(_look, repository, paths)
    for submodule in repository.submodules:
        if submodule.head is None:
            continue
        inside = await inspect_repository(repository.top / os.fsdecode(submodule.path), repository.choice)
        below = await list_repository(inside)
        files += [ListedFile(submodule.path + b"/" + file.path, file.mode, file.size) for file in below]
    return files


def _look(repository: Repository, paths: Iterable[tuple[bytes, int]]) -> list[ListedFile]:
    """As git would take them: what is not a file or link any more is left out. Blocking."""
    found = []
    with WorkTree(repository.top) as tree:
        for path, mode in paths:
            seen = tree.look(path)
            if seen is None:
                continue
            if seen.target is not None:
                found.append(ListedFile(path, _LINK, len(seen.target)))
                continue
            executable = (
                seen.executable if repository.file_mode or mode not in (_EXECUTABLE, _PLAIN) else mode == _EXECUTABLE
            )
            found.append(ListedFile(path, _EXECUTABLE if executable else _PLAIN, seen.stamp.size))
    return found


def _split(record: bytes) -> tuple[bytes, int]:
    described, _, path = record.partition(b"\t")
    return path, int(described.split(b" ")[0], 8)


def _read_tree(listed: bytes) -> Iterable[ListedFile]:
    for record in listed.split(b"\0")[:-1]:
        described, _, path = record.partition(b"\t")
        mode, _, _, size = described.split()
        if size == b"-":
            raise has_submodule(path)
        yield ListedFile(path, int(mode, 8), int(size))


def _name(file: ListedFile) -> bytes:
    return file.path
