"""How much space files really take on the host's disk: for sparse files less than their size."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_BLOCK_BYTES: Final = 512  # st_blocks counts these, whatever the file system's own are (stat(2))


def allocated_bytes(paths: Iterable[Path]) -> int:
    """Bytes that files and directory trees take on the disk; a missing one takes none. Follows no link.

    Blocks that a file shares with others (reflinks) are counted for each of them.
    """
    return sum(map(_of_tree, paths))


def _of_tree(path: str | Path) -> int:
    try:
        status = os.lstat(path)
        entries = list(os.scandir(path)) if stat.S_ISDIR(status.st_mode) else []
    except OSError:
        return 0
    return status.st_blocks * _BLOCK_BYTES + sum(_of_tree(entry.path) for entry in entries)
