"""What is told of a fetched branch comes from git's own patch of it, or is left out."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.world import commit_all, git

from banger.workspace.branches import GuestBranch
from banger.workspace.fetched_patch import make_patch
from banger.workspace.fetching import FetchedBranch, Quarantine


@pytest.fixture(params=["sha1", "sha256"])
def repository(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    git(tmp_path, "init", "-q", f"--object-format={request.param}")
    for name, value in (("user.name", "me"), ("user.email", "me@here"), ("core.quotePath", "false")):
        git(tmp_path, "config", name, value)
    (tmp_path / "a").write_text("1\n")
    commit_all(tmp_path)
    return tmp_path


def quarantine(repository: Path, *, old: str | None = None) -> tuple[Quarantine, FetchedBranch]:
    head = git(repository, "rev-parse", "HEAD").decode().strip()
    branch = FetchedBranch(GuestBranch("main", head), "banger/box/main", old, 1)
    return Quarantine(repository / ".git", (branch,)), branch


async def test_everything_of_a_branch_without_a_beginning_here(repository: Path) -> None:
    patch = await make_patch(*quarantine(repository), since=None)
    assert patch is not None
    assert [(file.path, file.change, file.additions) for file in patch.verdict.files] == [(b"a", "added", 1)]


async def test_what_is_new_since_the_copy_or_since_it_was_fetched(repository: Path) -> None:
    first = git(repository, "rev-parse", "HEAD").decode().strip()
    (repository / "\u00e4 b").write_bytes(b"\0")
    commit_all(repository)
    for held, since in ((quarantine(repository), first), (quarantine(repository, old=first), None)):
        patch = await make_patch(*held, since=since)
        assert patch is not None
        assert [(file.path, file.binary) for file in patch.verdict.files] == [("\u00e4 b".encode(), True)]


async def test_what_is_too_large_or_not_here_is_left_out(repository: Path) -> None:
    held = quarantine(repository)
    assert await make_patch(*held, since="1" * len(held[1].guest.commit)) is None
    assert await make_patch(*held, since=None, limit_bytes=10) is None
