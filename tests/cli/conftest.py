"""A command line in a directory of its own, with a scripted daemon."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.world import SOURCE, World
from tests.fakes.daemon import FakeDaemon


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    cwd = tmp_path / "cwd"
    cwd.mkdir()
    environment = {
        "BANGER_HOME": str(tmp_path / "home"),
        "HOME": str(tmp_path),
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(SOURCE),
    }
    made = World(tmp_path / "home", cwd, environment)
    yield made
    made.close()


@pytest.fixture
def daemon(world: World) -> Iterator[FakeDaemon]:
    with FakeDaemon(world.layout.daemon_socket) as fake:
        yield fake
