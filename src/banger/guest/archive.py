"""What the agent is asked for when it archives a root: docs/agent-protocol.md, "archive"."""

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
    """A directory of the guest, and which of the paths below it, written without a slash before them, are special.

    `mounted` are directories taken from where something is mounted on them, `emptied` come without their content, and
    `of_image` come as the image has them, or not at all if it does not.
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
