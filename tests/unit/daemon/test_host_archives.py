"""Images out of whatever a path leads to."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from banger.core.errors import Invalid
from banger.daemon.host_archives import import_path
from banger.disk.rootfs import LayerTree
from banger.image.store import ImageStore


def test_a_named_pipe_keeps_nobody_waiting(tmp_path: Path) -> None:
    """A thread that waits for one could not be given up, and neither could its request."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises(Invalid, match="not a regular file"):
        import_path(
            ImageStore(tmp_path / "store"),
            "x",
            path,
            read_layers=LayerTree,
            tag=None,
            architecture=None,
            report=lambda _progress: None,
            check=lambda: None,
        )
