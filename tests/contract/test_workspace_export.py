"""Edits come back as a patch that applies, made by the real git on a workspace that travelled."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from tests.contract.workspace_world import LocalGuest, LocalProgram, Travel, travel, tree_of
from tests.world import commit_all, git

from banger.core.errors import Failed, Invalid
from banger.workspace.export import ExportedPatch, export_patch


@pytest.fixture
async def trip(tmp_path: Path) -> Travel:
    repository = tmp_path / "repository"
    repository.mkdir()
    git(repository, "init", "-q", "-b", "main")
    (repository / "a.txt").write_text("one\n")
    commit_all(repository, "first")
    git(repository, "tag", "-a", "-m", "a tag", "v1")
    return await travel(repository, tmp_path / "travel")


async def export(trip: Travel, tmp_path: Path, base: str | None = None) -> ExportedPatch:
    return await export_patch(
        trip.guest, guest_path=trip.packed.guest_path, base=base or trip.packed.base, spool=tmp_path / "patch"
    )


def edit_in_guest(trip: Travel) -> None:
    """Two commits, a change that is not committed, and a new file."""
    for number in (2, 3):
        (trip.copy / f"{number}.txt").write_text(f"{number}\n")
        commit_all(trip.copy, f"number {number}")
    (trip.copy / "a.txt").write_text("changed\n")
    (trip.copy / "new.bin").write_bytes(bytes(range(256)))


async def test_everything_since_the_copy(trip: Travel, tmp_path: Path) -> None:
    edit_in_guest(trip)
    patch = await export(trip, tmp_path)
    git(trip.repository, "apply", "--index", str(patch.path))
    assert tree_of(trip.repository) == tree_of(trip.copy)


@pytest.mark.parametrize(
    ("base", "files"),
    [
        ("HEAD", ["a.txt", "new.bin"]),
        ("HEAD~1", ["3.txt", "a.txt", "new.bin"]),
        ("main~2", ["2.txt", "3.txt", "a.txt", "new.bin"]),
        ("@{0}", ["a.txt", "new.bin"]),
    ],
)
async def test_since_a_commit_that_the_guest_names(trip: Travel, tmp_path: Path, base: str, files: list[str]) -> None:
    edit_in_guest(trip)
    patch = await export(trip, tmp_path, base)
    assert patch.base == git(trip.copy, "rev-parse", base).decode().strip()
    assert sorted(file.path.decode() for file in patch.verdict.files) == files


async def test_since_a_short_id(trip: Travel, tmp_path: Path) -> None:
    edit_in_guest(trip)
    short = git(trip.copy, "rev-parse", "--short", "HEAD").decode().strip()
    assert (await export(trip, tmp_path, short)).base.startswith(short)


@pytest.mark.parametrize("base", ["", "-h", "--all", "--output=/tmp/x", "a\nb", "a\0b", "x" * 300])
async def test_words_that_name_no_commit_start_nothing(trip: Travel, tmp_path: Path, base: str) -> None:
    with pytest.raises(Invalid):
        await export_patch(Nobody(), guest_path="/", base=base, spool=tmp_path / "patch")


async def test_a_workspace_that_is_no_repository_any_more(trip: Travel, tmp_path: Path) -> None:
    shutil.rmtree(trip.copy / ".git")
    with pytest.raises(Failed, match="no longer a git repository"):
        await export(trip, tmp_path)


@pytest.mark.parametrize("base", ["nowhere", "HEAD~99", "HEAD..main", "HEAD:a.txt", "1" * 40])
async def test_a_commit_that_the_guest_does_not_have(trip: Travel, tmp_path: Path, base: str) -> None:
    with pytest.raises(Failed, match="has no commit"):
        await export(trip, tmp_path, base)


@pytest.mark.parametrize(
    "answer", ["", "HEAD", "--output=x", "../" * 20, "a" * 39, "A" * 40, "a" * 40 + "\n" + "b" * 40]
)
async def test_a_guest_that_lies_about_the_commit(trip: Travel, tmp_path: Path, answer: str) -> None:
    """Whatever its git says, only a full id goes on."""
    lies = tmp_path / "bin"
    lies.mkdir()
    (lies / "git").write_text(f"#!/bin/sh\nprintf '%s\\n' '{answer}'\n")
    (lies / "git").chmod(0o755)
    guest = LocalGuest(trip.root, path=str(lies))
    with pytest.raises(Failed, match="has no commit"):
        await export_patch(guest, guest_path=trip.packed.guest_path, base="HEAD", spool=tmp_path / "patch")


class Nobody:
    """A guest in which nothing may be started."""

    def program(
        self, argv: Sequence[str], *, cwd: str, environment: Mapping[str, str]
    ) -> AbstractAsyncContextManager[LocalProgram]:
        raise AssertionError(argv)
