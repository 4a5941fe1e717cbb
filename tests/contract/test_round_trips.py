"""Two hundred random edits in a guest, of every kind and on repositories of every kind, come back as the guest's tree."""

from __future__ import annotations

import asyncio
import os
import subprocess
from pathlib import Path

import pytest
from tests.contract.workspace_world import ENVIRONMENT, Travel, travel, tree_of
from tests.round_trips import KINDS, EditScript, make_repository
from tests.world import git

from banger.workspace.applying import SavedPatch, prepare_patch
from banger.workspace.export import export_patch
from banger.workspace.repository import inspect_repository

EDITS = 200
SEEDS = int(os.environ.get("BANGER_SEEDS", "2"))
FIRST_SEED = int(os.environ.get("BANGER_SEED", "1"))


def edit(trip: Travel, seed: int, count: int = EDITS) -> None:
    script = EditScript(trip.copy, seed=seed).write(count)
    environment = {**ENVIRONMENT, "HOME": str(trip.root)}
    done = subprocess.run(
        ["sh"], input=script.encode(), cwd=trip.copy, env=environment, capture_output=True, check=False
    )
    assert done.returncode == 0, (done.stderr, script)


async def bring_back(trip: Travel, place: Path, earlier: list[SavedPatch]) -> SavedPatch:
    """Export, and apply to the repository."""
    place.mkdir()
    exported = await export_patch(
        trip.guest, guest_path=trip.packed.guest_path, base=trip.packed.base, spool=place / "saved.patch"
    )
    saved = SavedPatch(exported.path, exported.verdict)
    prepared = await prepare_patch(
        await inspect_repository(trip.repository),
        saved,
        earlier=earlier,
        applied=(),
        directory=place / "apply",
        allow_dirty=True,
        umask=0o022,
    )
    if prepared.placing is not None:
        await asyncio.to_thread(prepared.placing.record)
        await asyncio.to_thread(prepared.placing.write)
    return saved


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(FIRST_SEED, FIRST_SEED + SEEDS))
async def test_two_hundred_edits(tmp_path: Path, kind: str, seed: int) -> None:
    make_repository(tmp_path / "repository", kind, seed=seed)
    trip = await travel(tmp_path / "repository", tmp_path / "travel")
    assert tree_of(trip.repository) == tree_of(trip.copy)
    edit(trip, seed)
    saved = await bring_back(trip, tmp_path / "first", [])
    assert tree_of(trip.repository) == tree_of(trip.copy)
    assert git(trip.repository, "diff", "--cached", "--name-only") == b""
    assert not (trip.repository / "x.log").exists()
    # The user's own git takes the same patch for the same tree.
    git(trip.repository, "clean", "-qfdx")
    git(trip.repository, "checkout", "-qf", ".")
    if saved.path.stat().st_size:
        git(trip.repository, "apply", "--index", "--whitespace=nowarn", str(saved.path))
    assert tree_of(trip.repository) == tree_of(trip.copy)


@pytest.mark.parametrize("seed", range(FIRST_SEED, FIRST_SEED + SEEDS))
async def test_edits_that_come_back_in_between(tmp_path: Path, seed: int) -> None:
    """An agent goes on after each apply: what came before counts once."""
    make_repository(tmp_path / "repository", KINDS[seed % len(KINDS)], seed=seed)
    trip = await travel(tmp_path / "repository", tmp_path / "travel")
    earlier: list[SavedPatch] = []
    for number in range(4):
        edit(trip, seed * 100 + number, count=30)
        earlier.insert(0, await bring_back(trip, tmp_path / f"trip-{number}", earlier))
        assert tree_of(trip.repository) == tree_of(trip.copy), number


@pytest.mark.parametrize(
    ("attributes", "auto_crlf"),
    [("* text eol=crlf\n", ""), ("*.txt text=auto\n", "true"), ("", "true"), ("*.txt ident\n", "")],
)
async def test_line_ends_as_the_repository_wants_them(tmp_path: Path, attributes: str, auto_crlf: str) -> None:
    """What git converts on the way into the tree it converts for a patch too."""
    repository = tmp_path / "repository"
    repository.mkdir()
    git(repository, "init", "-q")
    if auto_crlf:
        git(repository, "config", "core.autocrlf", auto_crlf)
    end = b"\n" if "ident" in attributes else b"\r\n"
    (repository / ".gitattributes").write_text(attributes)
    (repository / "a.txt").write_bytes(b"one $Id$" + end + b"two" + end)
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "x")
    git(repository, "rm", "-q", "--cached", "-r", ".")
    git(repository, "reset", "-q", "--hard")
    trip = await travel(repository, tmp_path / "travel")
    with (trip.copy / "a.txt").open("ab") as file:
        file.write(b"three" + end)
    (trip.copy / "b.txt").write_bytes(b"new" + end)
    await bring_back(trip, tmp_path / "first", [])
    assert (repository / "a.txt").read_bytes().endswith(b"two" + end + b"three" + end)
    assert (repository / "b.txt").read_bytes() == b"new" + end
    shown = git(repository, "diff", "--numstat")
    assert shown == b"1\t0\ta.txt\n"


async def test_a_repository_without_modes_of_files(tmp_path: Path) -> None:
    """As on file systems that know none: what is here stays as executable as it is, and counts as applied."""
    repository = tmp_path / "repository"
    make_repository(repository, "monorepo", seed=1)
    git(repository, "config", "core.fileMode", "false")
    tool, plain = (repository / f"packages/p1/{name}" for name in ("build.sh", "src/m1/index.ts"))
    plain.chmod(0o755)
    trip = await travel(repository, tmp_path / "travel")
    for name in ("packages/p1/build.sh", "packages/p1/src/m1/index.ts"):
        with (trip.copy / name).open("a") as file:
            file.write("more\n")
    (trip.copy / "README.md").chmod(0o755)
    saved = await bring_back(trip, tmp_path / "first", [])
    assert tool.read_text().endswith("more\n")
    assert plain.read_text().endswith("more\n")
    assert tool.stat().st_mode & plain.stat().st_mode & 0o100
    assert not (repository / "README.md").stat().st_mode & 0o100
    await bring_back(trip, tmp_path / "second", [saved])
    assert tool.read_text().count("more\n") == 1
