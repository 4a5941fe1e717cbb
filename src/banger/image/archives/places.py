"""Where the files of an image's archive are: in a directory, or in a tar file that is never unpacked."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO, Protocol

from banger.core.errors import Failed, Invalid
from banger.core.untrusted import printable


class Place(Protocol):
    """Files by path. A path was made by this program from checked parts, or is looked up in a tree in memory."""

    def open(self, path: str) -> BinaryIO | None:
        """Open a file, None if there is none. Closing it leaves the place usable."""


class DirectoryPlace:
    """A directory of the host. No symbolic link below it is followed, and only regular files are opened.

    Close it.
    """

    def __init__(self, path: Path) -> None:
        """Raises `OSError`."""
        self._descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def close(self) -> None:
        os.close(self._descriptor)

    def open(self, path: str) -> BinaryIO | None:
        """The file at a relative path of checked parts. Raises `Invalid` for a link or a device."""
        directory = os.dup(self._descriptor)
        try:
            *parents, name = path.split("/")
            for parent in parents:
                below = os.open(parent, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
                os.close(directory)
                directory = below
            descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Invalid(
                f"{printable(path)} of the image layout cannot be read: {error.strerror}",
                hint="a layout has only directories and regular files",
            ) from error
        finally:
            os.close(directory)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise Invalid(f"{printable(path)} of the image layout is not a regular file")
        return os.fdopen(descriptor, "rb")


def read_small(place: Place, path: str, *, limit_bytes: int) -> bytes | None:
    """The whole content of a small file, None if there is none. Raises `Failed` if it is larger than `limit_bytes`."""
    file = place.open(path)
    if file is None:
        return None
    with file:
        content = file.read(limit_bytes + 1)
    if len(content) > limit_bytes:
        raise Failed(f"{printable(path)} of the image is larger than {limit_bytes} bytes")
    return content
