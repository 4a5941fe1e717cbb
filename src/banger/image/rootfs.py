"""What this room needs of a root file system in memory; the disk room provides it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO, Protocol

from banger.core.layers import Layer


class RootfsTree(Protocol):
    """A root file system that can be edited and then written."""

    @property
    def content_bytes(self) -> int:
        """The size of all file contents in bytes."""

    def read(self, path: str) -> bytes:
        """The content of a regular file. Raises `Invalid` when there is none."""

    def open(self, path: str) -> BinaryIO | None:
        """The content of the regular file at `path`, symbolic links followed within the tree; None when there is none.

        Closing it leaves the tree usable.
        """

    def files_in(self, directory: str, *, limit: int) -> list[str]:
        """Names of regular files right in a directory, among its first `limit` entries; none where there is none."""

    def read_start(self, path: str, size: int) -> bytes | None:
        """The first bytes of the file at `path`, symbolic links followed within the tree; None when there is none."""

    def remove(self, path: str) -> None:
        """Remove a file or directory, if it exists."""

    def empty(self, path: str) -> None:
        """Remove everything in a directory."""

    def clear(self, path: str) -> None:
        """Remove everything below a directory except directories."""

    def add_file(self, path: str, content: bytes, *, mode: int = 0o644) -> None:
        """Add a file that belongs to root."""

    def add_symlink(self, path: str, target: str) -> None:
        """Add a symbolic link that belongs to root."""

    def add_open_file(self, path: str, content: BinaryIO, *, mode: int = 0o644) -> None:
        """Add a file that belongs to root, with the content of an open, seekable one, which stays open."""

    def find_init(self) -> str | None:
        """The path of the init that takes over from the agent."""

    def write_image(self, destination: Path, report: Callable[[int], None]) -> str:
        """Write the image; the digest of the file. `report` is told the bytes of content written."""

    def close(self) -> None: ...


class ReadRootfs(Protocol):
    """Reads an archive. What a source that cannot seek holds goes to `scratch`; `report` is told the bytes read."""

    def __call__(self, source: BinaryIO, *, scratch: Path | None, report: Callable[[int], None]) -> RootfsTree: ...


class ReadLayers(Protocol):
    """Applies the layers of an image, the lowest first, keeping the contents of files in `scratch`.

    `report` is told the compressed bytes read so far and those of all layers; what it raises ends the work. Blocking.
    Raises `Invalid` and `Unsupported` naming layer and member, `Failed` for a layer that cannot be read.
    """

    def __call__(
        self, layers: Sequence[Layer], *, scratch: Path | None, report: Callable[[int, int], None]
    ) -> RootfsTree: ...
