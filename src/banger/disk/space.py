"""A floor of free space on the host that no VM is allowed to begin below."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from banger.core.errors import Unavailable
from banger.core.sizes import GIB, format_size

FLOOR_BYTES: Final = 1 * GIB


def check_free_space(path: Path, *, needed_bytes: int = 0) -> None:
    """Raise `Unavailable` when the file system of `path` would have less than the floor left."""
    status = os.statvfs(path)
    free_bytes = status.f_bavail * status.f_frsize
    if free_bytes < FLOOR_BYTES + needed_bytes:
        raise Unavailable(
            f"only {format_size(free_bytes)} are free where banger keeps its VMs,"
            f" and {format_size(FLOOR_BYTES + needed_bytes)} are needed",
            hint="free some space, delete VMs with `banger vm delete`, or set BANGER_HOME to a larger disk",
        )
