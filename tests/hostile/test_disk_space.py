"""Archives that become much larger than they are: what they are unpacked to never takes the last of a disk."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from tests.hostile.archives import END, file, gzipped, make_layer

from banger.core.errors import Unavailable
from banger.disk.rootfs import ArchiveTree, LayerTree, write_image

LARGE = file(b"large", os.urandom(3 << 20))


class Stream(io.BytesIO):
    """What comes and cannot be gone back in."""

    def seekable(self) -> bool:
        return False


@pytest.fixture
def nearly_full(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if no more than the floor were free."""
    monkeypatch.setattr("banger.disk.space.FLOOR_BYTES", 1 << 62)
    monkeypatch.setattr("banger.disk.space.CHECK_STEP_BYTES", 1 << 20)


@pytest.mark.usefixtures("nearly_full")
def test_layers(tmp_path: Path) -> None:
    layer = make_layer(LARGE, compress=gzipped)
    with pytest.raises(Unavailable, match="no space left to unpack the layers"):
        LayerTree([layer], scratch=tmp_path, report=lambda _done, _whole: None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("nearly_full")
def test_archives(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="no space left to unpack the archive"):
        ArchiveTree(Stream(LARGE + END), scratch=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_images(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    tree = ArchiveTree(io.BytesIO(LARGE + END))
    request.getfixturevalue("nearly_full")
    with pytest.raises(Unavailable, match="no space left for the image"):
        write_image(tree.tree, tmp_path / "image")
    assert list(tmp_path.iterdir()) == []
