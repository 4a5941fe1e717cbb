"""The free space that has to remain on the host for a VM to be made or started."""

from __future__ import annotations

import errno
import io
import os
from pathlib import Path
from typing import Any, Final

from banger.core.errors import Unavailable
from banger.core.sizes import GIB, format_size

FLOOR_BYTES: Final = 1 * GIB
CHECK_STEP_BYTES: Final = 64 << 20
VMS: Final = "VMs"
IMAGES: Final = "images and kernels"


def read_free_bytes(path: Path) -> int:
    """Bytes that this user may still write on the file system where `path` is or would be made (statvfs(3))."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return free_bytes_of(path)


def free_bytes_of(place: Path | int) -> int:
    """The same for something that is there, or for the open file with this descriptor. Raises `OSError`."""
    status = os.statvfs(place)
    return status.f_bavail * status.f_frsize


def check_free_space(path: Path, *, needed_bytes: int = 0, keeps: str = VMS) -> None:
    """Raise `Unavailable` when the file system of `path`, where banger `keeps` something, would have less than the
    floor left.
    """
    judge_free_space(read_free_bytes(path), needed_bytes=needed_bytes, keeps=keeps)


def judge_free_space(free_bytes: int, *, needed_bytes: int = 0, keeps: str = VMS) -> None:
    """The rule itself: what is free must cover the need and the floor. Raises `Unavailable`."""
    if free_bytes < FLOOR_BYTES + needed_bytes:
        raise Unavailable(
            f"only {format_size(free_bytes)} are free where banger keeps its {keeps},"
            f" and {format_size(FLOOR_BYTES + needed_bytes)} are needed",
            hint="free some space, delete VMs with `banger vm delete`, or set BANGER_HOME to a larger disk",
            free_bytes=free_bytes,
        )


class SparingFile(io.FileIO):
    """A file whose content may become any size: writing it ends as on a full disk while the floor is still free."""

    _unchecked = 0

    def write(self, data: Any, /) -> int:  # noqa: ANN401 - any buffer
        self._unchecked += len(data)
        if self._unchecked >= CHECK_STEP_BYTES:
            self._unchecked = 0
            if free_bytes_of(self.fileno()) < FLOOR_BYTES:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(data)
