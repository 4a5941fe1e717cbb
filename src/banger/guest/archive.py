"""The request for an archive of a root: docs/agent-protocol.md, "archive"."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageDisk:
    """The image below a root: the serial number of its disk, and the type of its file system."""

    serial: str
    file_system: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveRequest:
    """A directory of the guest, and which paths below it are special; these are written without a leading slash.

    `mounted` are archived as mounted there, `emptied` without their content, and `of_image` as the image has them,
    or not at all if it does not have them.
    """

    root: str = "/"
    mounted: tuple[str, ...] = ()
    emptied: tuple[str, ...] = ()
    of_image: tuple[str, ...] = ()
    image: ImageDisk | None = None

    def fields(self) -> Iterator[tuple[int, bytes]]:
        """The fields of the request."""
        yield 10, self.root.encode()
        for tag, paths in ((11, self.mounted), (12, self.emptied), (13, self.of_image)):
            for path in paths:
                yield tag, path.encode()
        if self.image is not None:
            yield 14, self.image.serial.encode()
            yield 15, self.image.file_system.encode()
