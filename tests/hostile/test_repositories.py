"""Repositories that came with their `.git`, made by somebody who wants other files of this computer in a guest."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.world import commit_all, git

from banger.core.errors import Denied
from banger.workspace.packing import prepare
from banger.workspace.repository import inspect_repository


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with a key in it, and a repository two directories below."""
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "id_ed25519").write_text("secret")
    (tmp_path / "src" / "evil").mkdir(parents=True)
    git(tmp_path / "src" / "evil", "init", "-q", "-b", "main")
    (tmp_path / "src" / "evil" / "x").write_text("x")
    commit_all(tmp_path / "src" / "evil")
    return tmp_path


def claim(home: Path, place: str, name: str) -> Path:
    """Have the repository say that its files are elsewhere, and that one of them is tracked."""
    evil = home / "src" / "evil"
    oid = git(evil, "hash-object", "-w", "x").decode().strip()
    git(evil, "update-index", "--add", "--cacheinfo", f"100644,{oid},{name}")
    git(evil, "config", "core.worktree", place)
    return evil


async def test_files_of_the_home_are_not_its_own(home: Path) -> None:
    with pytest.raises(Denied, match="says that its files are in"):
        await inspect_repository(claim(home, "../../..", ".ssh/id_ed25519"))


async def test_files_of_a_repository_around_it_are_not_its_own(home: Path) -> None:
    """That one would vouch for what is at the top, and its index would not be the one that is read."""
    git(home, "init", "-q", "-b", "main")
    (home / ".gitignore").write_text("src\n.ssh\n")
    commit_all(home)
    with pytest.raises(Denied, match="says that its files are in"):
        await inspect_repository(claim(home, "../../..", ".ssh/id_ed25519"))


@pytest.mark.parametrize("name", ["exclude", "attributes"])
@pytest.mark.parametrize("linked", ["file", "directory"])
async def test_links_in_its_git_directory_take_no_file_along(home: Path, name: str, linked: str) -> None:
    """Both files go into the guest: they were the key, by whichever name."""
    evil = home / "src" / "evil"
    (home / ".ssh" / name).write_text("secret")
    info = evil / ".git" / "info"
    shutil.rmtree(info)
    if linked == "directory":
        info.symlink_to("../../../.ssh")
    else:
        info.mkdir()
        (info / name).symlink_to("../../../../.ssh/id_ed25519")
    (home / "scratch").mkdir()
    packed = await prepare(await inspect_repository(evil), home / "scratch")
    assert [entry.path for entry in packed.entries if b"secret" in entry.content] == []
    assert b"x" in [entry.path for entry in packed.entries]


async def test_repositories_whose_git_directory_is_elsewhere_are_what_they_say(home: Path) -> None:
    evil = home / "src" / "evil"
    git(evil, "worktree", "add", "-q", "--detach", str(home / "other"))
    assert (await inspect_repository(home / "other")).top == home / "other"
    git(home, "init", "-q", "--separate-git-dir", str(home / "apart"), str(home / "own"))
    assert (await inspect_repository(home / "own")).top == home / "own"
    (evil / ".git").rename(home / "moved")
    (evil / ".git").symlink_to("../../moved")
    assert (await inspect_repository(evil)).top == evil
