"""Commits of a guest become branches of the repository, and nothing else of the guest's does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.component.fake_world import FakeWorld
from tests.component.test_workspaces import in_guest
from tests.world import commit_all, git


@pytest.fixture(params=["sha1", "sha256"])
def repository(world: FakeWorld, request: pytest.FixtureRequest) -> Path:
    """A repository with two commits, and a VM `box` that has a copy of it."""
    world.keep_guests_apart()
    path = world.root / "repo"
    path.mkdir()
    git(path, "init", "-q", "-b", "main", f"--object-format={request.param}")
    git(path, "config", "user.name", "Somebody")
    git(path, "config", "user.email", "somebody@example.org")
    for number in range(2):
        (path / "notes.txt").write_text(f"{number}\n")
        commit_all(path)
    world.start_daemon()
    world.succeed("vm", "run", "-q", "-d", "--name", "box", ".", cwd=path)
    return path


def fetch(world: FakeWorld, *words: str) -> list[dict[str, Any]]:
    result = json.loads(world.succeed("vm", "workspace", "fetch", "box", "--json", *words))
    branches: list[dict[str, Any]] = result["branches"]
    return branches


def refuse(world: FakeWorld, repository: Path, *words: str) -> tuple[int, str]:
    """A fetch that is refused and leaves everything as it was; status and sentence."""
    before = refs(repository), objects(repository)
    done = world.banger("vm", "workspace", "fetch", "box", *words)
    assert done.returncode != 0
    assert (refs(repository), objects(repository)) == before
    assert not any((world.state / "applies").glob("*"))
    return done.returncode, done.stderr.decode()


def refs(repository: Path) -> bytes:
    return git(repository, "for-each-ref")


def objects(repository: Path) -> list[Path]:
    return sorted((repository / ".git" / "objects").rglob("*"))


COMMIT = "git add -A; git commit -qm"


def test_commits_become_branches(world: FakeWorld, repository: Path) -> None:
    assert fetch(world) == []
    in_guest(
        world,
        f"echo a >a; {COMMIT} one; echo b >>a; {COMMIT} two; git checkout -qb topic/x HEAD~1; echo c >c; {COMMIT} three",
    )
    index = (repository / ".git" / "index").read_bytes()
    head = git(repository, "rev-parse", "HEAD")
    found = {branch["branch"]: (branch["state"], branch["commits"]) for branch in fetch(world)}
    assert found == {"banger/box/main": ("new", 2), "banger/box/topic/x": ("new", 2)}
    assert git(repository, "log", "--format=%s", "main..banger/box/topic/x").split() == [b"three", b"one"]
    assert git(repository, "show", "banger/box/main:a") == b"a\nb\n"
    assert (repository / ".git" / "index").read_bytes() == index
    assert git(repository, "rev-parse", "HEAD") == head
    assert {path.name for path in repository.iterdir()} == {".git", "notes.txt"}
    git(repository, "fsck", "--strict", "--full")
    assert {branch["state"] for branch in fetch(world)} == {"unchanged"}
    in_guest(world, f"git checkout -q main; echo d >d; {COMMIT} four")
    assert {branch["branch"]: branch["state"] for branch in fetch(world)} == {
        "banger/box/main": "updated",
        "banger/box/topic/x": "unchanged",
    }


def test_what_is_worth_a_look_is_told(world: FakeWorld, repository: Path) -> None:
    in_guest(world, f"printf 'all:\\n\\ttrue\\n' >Makefile; {COMMIT} one; git rm -q notes.txt; {COMMIT} two")
    done = world.banger("vm", "workspace", "fetch", "box")
    assert done.returncode == 0
    assert b"banger/box/main: 2 files changed, 2 lines added, 1 removed\nWorth a look:\n" in done.stderr
    assert b"build tools or agents:\n    Makefile\n" in done.stderr
    in_guest(world, f"echo a >a; {COMMIT} three")
    (branch,) = fetch(world)  # of what was fetched before nothing is told again
    assert branch["review"] == {"file_count": 1, "additions": 1, "deletions": 0, "findings": []}
    assert [branch["review"] for branch in fetch(world)] == [None]


def test_a_detached_head_and_an_orphan(world: FakeWorld, repository: Path) -> None:
    in_guest(world, f"git checkout -q --detach; echo a >a; {COMMIT} one")
    assert [branch["branch"] for branch in fetch(world)] == ["banger/box/HEAD"]
    in_guest(world, f"git checkout -q --orphan fresh; {COMMIT} two")
    assert [(b["branch"], b["commits"]) for b in fetch(world)] == [("banger/box/fresh", 1)]


def test_commits_on_top_of_files_that_were_not_committed_here(world: FakeWorld, repository: Path) -> None:
    world.succeed("vm", "delete", "box")
    (repository / "notes.txt").write_text("not committed\n")
    world.succeed("vm", "run", "-q", "-d", "--name", "box", ".", cwd=repository)
    in_guest(world, f"echo a >a; {COMMIT} all")
    (branch,) = fetch(world)
    assert git(repository, "show", f"{branch['branch']}:notes.txt") == b"not committed\n"
    git(repository, "fsck", "--strict", "--full")


def test_rewritten_branches_need_force(world: FakeWorld, repository: Path) -> None:
    in_guest(world, f"echo a >a; {COMMIT} one")
    fetch(world)
    in_guest(world, "git commit -q --amend -m other")
    status, said = refuse(world, repository)
    assert (status, "was rewritten" in said) == (1, True)
    assert [branch["state"] for branch in fetch(world, "--force")] == ["updated"]
    assert git(repository, "log", "-1", "--format=%s", "banger/box/main") == b"other\n"


def test_a_branch_that_is_checked_out_stays(world: FakeWorld, repository: Path) -> None:
    in_guest(world, f"echo a >a; {COMMIT} one")
    fetch(world)
    git(repository, "worktree", "add", "-q", str(world.root / "beside"), "banger/box/main")
    in_guest(world, f"echo b >a; {COMMIT} two")
    status, said = refuse(world, repository, "--force")
    assert (status, "checked out" in said) == (1, True)


def test_hooks_and_settings_of_the_repository_start_nothing(world: FakeWorld, repository: Path) -> None:
    canary = world.root / "canary"
    for name in ("reference-transaction", "post-merge", "post-checkout", "pre-auto-gc", "post-index-change"):
        hook = repository / ".git" / "hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\ntouch '{canary}'\n")
        hook.chmod(0o755)
    for setting in ("core.fsmonitor", "core.sshCommand", "core.alternateRefsCommand", "gpg.program", "core.pager"):
        git(repository, "config", setting, f"touch '{canary}'")
    git(repository, "config", "filter.x.clean", f"touch '{canary}'")
    git(repository, "config", "filter.x.smudge", f"touch '{canary}'")
    git(repository, "config", "filter.x.process", f"touch '{canary}'")
    git(repository, "config", "filter.x.required", "true")
    git(repository, "config", "diff.x.textconv", f"touch '{canary}'")
    git(repository, "config", "diff.external", f"touch '{canary}'")
    canary.unlink(missing_ok=True)
    in_guest(
        world, f"echo '* filter=x diff=x' >.gitattributes; echo a >a; echo more >>notes.txt; {COMMIT} one; echo b >a"
    )
    fetch(world)
    world.succeed("vm", "workspace", "status", "box")
    world.succeed("vm", "workspace", "apply", "box", "--yes")
    assert (repository / "a").read_text() == "b\n"
    assert not canary.exists()
