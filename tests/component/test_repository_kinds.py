"""Repositories of every kind go in, and go in again when they have changed: with the real git on both ends."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.component.fake_world import FakeWorld
from tests.component.test_prepare import guest_root, make_repository
from tests.contract.workspace_world import commit_all, git, tree_of, write
from tests.repositories import KINDS, listed_tree


@pytest.fixture
def world(world: FakeWorld) -> FakeWorld:
    """A VM without a workspace, in which each repository gets its place."""
    world.keep_guests_apart()
    world.start_daemon()
    world.succeed("vm", "run", "-d", "--no-workspace", "--name", "box")
    return world


def prepare(world: FakeWorld, path: Path, *arguments: str) -> dict[str, object]:
    result: dict[str, object] = world.json("vm", "workspace", "prepare", "box", str(path), *arguments)
    return result


def change_some(path: Path, chance: random.Random) -> int:
    """Ten files are not what they were; how many have to travel."""
    names = [
        name
        for name in git(path, "ls-files", "-z").split(b"\0")[:-1]
        if not os.path.islink(os.fsencode(path) + b"/" + name)
    ]
    for name in chance.sample(names, 10):
        with open(os.fsencode(path) + b"/" + name, "ab") as file:
            file.write(b"one more line\n")
    return 10


@pytest.mark.parametrize("kind", KINDS)
def test_the_guest_has_what_git_lists(world: FakeWorld, kind: str) -> None:
    path = world.root / "project"
    KINDS[kind](path)
    expected = listed_tree(path)
    result = prepare(world, path)
    copy = guest_root(world) / "project"
    assert result["files"] == len(expected)
    assert listed_tree(copy) == expected
    for question in (("status", "--porcelain"), ("rev-parse", "HEAD"), ("write-tree",), ("diff", "HEAD", "--stat")):
        assert git(copy, *question) == git(path, *question), question
    assert git(copy, "fsck", "--strict", "--no-dangling") == b""
    assert git(copy, "log", "-5", "--format=%H") == git(path, "log", "-5", "--format=%H")
    # Ten files later.
    changed = change_some(path, random.Random(3))
    result = prepare(world, path)
    assert (result["files"], result["removed"]) == (changed, 0)
    assert listed_tree(copy) == listed_tree(path) != expected
    assert git(copy, "status", "--porcelain") == git(path, "status", "--porcelain")
    commit_all(path, "committed")
    assert prepare(world, path)["files"] == 0
    assert git(copy, "rev-parse", "HEAD") == git(path, "rev-parse", "HEAD")
    assert git(copy, "status", "--porcelain") == b""
    assert git(copy, "fsck", "--strict", "--no-dangling") == b""


def linked_work_tree(path: Path) -> Path:
    make_repository(path)
    git(path, "worktree", "add", "-q", "-b", "linked", str(path.with_name(f"{path.name}-linked")))
    return path.with_name(f"{path.name}-linked")


def shallow_clone(path: Path) -> Path:
    make_repository(path)
    for number in range(5):
        write(path / "src/1.txt", f"{number}\n")
        commit_all(path, f"number {number}")
    target = path.with_name(f"{path.name}-shallow")
    git(path, "clone", "-q", "--depth=2", f"file://{path}", str(target))
    return target


def sha256(path: Path) -> Path:
    path.mkdir()
    git(path, "init", "-q", "-b", "main", "--object-format=sha256")
    for number in range(3):
        write(path / f"src/{number}.txt", f"{number}\n")
    commit_all(path)
    return path


def detached(path: Path) -> Path:
    make_repository(path)
    git(path, "checkout", "-q", "--detach")
    return path


def empty(path: Path) -> Path:
    path.mkdir()
    git(path, "init", "-q", "-b", "start")
    return path


def case_twins(path: Path) -> Path:
    make_repository(path)
    for name in ("Makefile", "makefile", "MAKEFILE", "Dir/a", "dir/a", "dir/A"):
        write(path / name, f"this is {name}\n")
    commit_all(path)
    return path


def large_file_pointers(path: Path) -> Path:
    """One that was fetched, and one that was not: what is in the file travels."""
    make_repository(path)
    write(path / ".gitattributes", "*.bin filter=lfs diff=lfs merge=lfs -text\n")
    for name in ("pointer.bin", "smudged.bin"):
        write(path / name, f"version https://git-lfs.github.com/spec/v1\noid sha256:{name:0<64}\nsize 3\n")
    commit_all(path)
    write(path / "smudged.bin", os.urandom(3000))
    git(path, "config", "filter.lfs.clean", "cat")
    git(path, "config", "filter.lfs.smudge", "cat")
    return path


def odd_index(path: Path) -> Path:
    make_repository(path)
    git(path, "config", "index.version", "4")
    git(path, "config", "core.splitIndex", "true")
    git(path, "config", "feature.manyFiles", "true")
    git(path, "update-index", "--force-write-index")
    return path


ODD: list[Callable[[Path], Path]] = [
    linked_work_tree, shallow_clone, sha256, detached, empty, case_twins, large_file_pointers, odd_index,
]  # fmt: skip


def test_odd_repositories_go_in_twice(world: FakeWorld) -> None:
    """Eight workspaces in one VM."""
    for build in ODD:
        path = build(world.root / build.__name__)
        assert prepare(world, path / "src" if (path / "src").is_dir() else path)["created"] is True, build
        copy = guest_root(world) / path.name
        assert tree_of(copy) == tree_of(path), build
        write(path / "src/1.txt", "changed\n")
        write(path / "new.txt", "new\n")
        git(path, "add", "src/1.txt", "new.txt")
        assert prepare(world, path)["files"] == 2, build
        assert tree_of(copy) == tree_of(path), build
        assert git(copy, "status", "--porcelain") == git(path, "status", "--porcelain"), build
        git(path, "commit", "-qm", "more")
        assert prepare(world, path)["files"] == 0, build
        assert git(copy, "rev-parse", "HEAD") == git(path, "rev-parse", "HEAD"), build
        assert git(copy, "status", "--porcelain") == git(path, "status", "--porcelain"), build
        assert git(copy, "fsck", "--strict", "--no-dangling") == b"", build
    (listed,) = world.vms()
    assert len(listed["workspaces"]) == len(ODD)


def test_a_sparse_checkout_is_refused_in_a_sentence(world: FakeWorld) -> None:
    path = make_repository(world.root / "sparse")
    git(path, "sparse-checkout", "set", "nothing")
    done = world.banger("vm", "workspace", "prepare", "box", str(path))
    assert done.returncode == 2
    assert b"sparse checkout" in done.stderr
    assert b"git sparse-checkout disable" in done.stderr
