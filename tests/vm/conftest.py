"""Real guests: the image and the kernel are made once and kept, everything else belongs to one test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.world import World, commit_all, git, kept_cache


@pytest.fixture(scope="session")
def prepared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that holds the default image and kernel."""
    world = World(tmp_path_factory.mktemp("pull"), cache=kept_cache())
    try:
        world.succeed("image", "pull", timeout_s=1500)
    finally:
        world.end()
    return kept_cache()


@pytest.fixture
def world(tmp_path: Path, prepared_cache: Path) -> Iterator[World]:
    """A banger of one's own; afterwards nothing of it is left."""
    world = World(tmp_path / "w", cache=prepared_cache)
    world.root.mkdir()
    try:
        yield world
        for vm in world.vms():
            world.succeed("vm", "delete", vm["name"])
        world.check_nothing_left()
    finally:
        world.end()


@pytest.fixture
def own_world(tmp_path: Path, prepared_cache: Path) -> Iterator[World]:
    """A banger with an image store of its own, and the shared kernel."""
    cache = tmp_path / "cache"
    (cache / "banger").mkdir(parents=True)
    (cache / "banger" / "kernels").symlink_to(prepared_cache / "banger" / "kernels")
    world = World(tmp_path / "w", cache=cache)
    world.root.mkdir()
    yield world
    world.check_nothing_left()
    world.end()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with what repositories have."""
    path = tmp_path / "sample repo"
    path.mkdir()
    git(path, "init", "-q", "-b", "trunk")
    (path / "README.md").write_text("hello\n")
    (path / "run.sh").write_text("#!/bin/sh\necho ran\n")
    (path / "run.sh").chmod(0o755)
    (path / "sub").mkdir()
    (path / "sub" / "data.bin").write_bytes(bytes(range(256)) * 40)
    (path / "link").symlink_to("sub/data.bin")
    (
        path / "a name\nwith everything \udcff".encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")
    ).write_text("odd\n")
    (path / ".gitignore").write_text("ignored/\n*.log\n")
    commit_all(path, "first")
    (path / "README.md").write_text("hello\nagain\n")
    commit_all(path, "second")
    return path
