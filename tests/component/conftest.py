"""A real daemon on a real socket, with the real command line in front of it and a fake VMM behind it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.component.fake_world import FakeWorld


@pytest.fixture(autouse=True)
def leave_nothing_running() -> Iterator[None]:
    """A test that fails shall not burden the next ones with its daemon and guests."""
    yield
    while FakeWorld.started:
        FakeWorld.started.pop().end_what_is_left()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[FakeWorld]:
    """A world whose daemon the test starts, with failpoints for example. At the end nothing of it is left."""
    world = FakeWorld(tmp_path / "w", cache=tmp_path / "cache")
    world.root.mkdir()
    yield world
    if world.daemon is not None:
        world.clear()


@pytest.fixture
def fake_world(world: FakeWorld) -> FakeWorld:
    """The same with its daemon started."""
    world.start_daemon()
    return world
