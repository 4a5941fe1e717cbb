"""Files that may be anything."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from banger.core.errors import Invalid, NotFound
from banger.core.reading import open_regular, read_bounded


def test_a_named_pipe_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises(Invalid, match="the recipe is not a regular file"):
        open_regular(path, what="the recipe")


def test_what_is_not_there_or_too_large(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with pytest.raises(NotFound, match="the recipe cannot be read"):
        read_bounded(path, limit_bytes=4, what="the recipe")
    path.write_bytes(b"12345")
    assert read_bounded(path, limit_bytes=5, what="the recipe") == b"12345"
    with pytest.raises(Invalid, match="larger"):
        read_bounded(path, limit_bytes=4, what="the recipe")
