"""A real daemon on a real socket, with the real command line in front of it and a fake VMM behind it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.component.fake_world import FakeWorld


@pytest.fixture
def fake_world(tmp_path: Path) -> Iterator[FakeWorld]:
    world = FakeWorld(tmp_path / "w", cache=tmp_path / "cache")
    world.root.mkdir()
    world.start_daemon()
    yield world
    world.clear()
