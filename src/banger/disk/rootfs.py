"""From an archive to a file system image."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from banger.core.errors import Invalid
from banger.disk.erofs import write_erofs
from banger.disk.tar import TarLimits, TarReader
from banger.disk.tree import Body, Node, find, put, resolve, walk

INIT_CANDIDATES = (b"/sbin/init", b"/usr/sbin/init", b"/lib/systemd/systemd", b"/usr/lib/systemd/systemd")


@dataclass(frozen=True, slots=True, kw_only=True)
class RootfsSummary:
    """What an image holds. `init` is the path of its systemd, or None when no init takes over."""

    size_bytes: int
    entries: int
    init: str | None


def read_tar(source: BinaryIO, *, report: Callable[[int], None] = lambda _bytes: None) -> Node:
    """The tree of an archive. Raises `Invalid`, also for an archive without any member."""
    root = TarReader(source, limits=TarLimits(), report=report).read()
    if not root.children:
        raise Invalid("the archive is empty", hint="give the tar file of a root file system")
    return root


def write_tree(root: Node, destination: Path, *, report: Callable[[int], None] = lambda _bytes: None) -> RootfsSummary:
    """Write the tree as an EROFS image to a new file and make it durable."""
    with destination.open("xb") as output:
        size_bytes = write_erofs(root, output, report=report)
        output.flush()
        os.fsync(output.fileno())
    return RootfsSummary(size_bytes=size_bytes, entries=sum(1 for _ in walk(root)), init=find_init(root))


def find_init(root: Node) -> str | None:
    """The init that takes over as PID 1: systemd, under whichever name the image has it. Others are not used:
    a busybox `init` without its configuration would do nothing but respawn consoles.
    """
    for candidate in INIT_CANDIDATES:
        found = resolve(root, candidate)
        if found is None:
            continue
        path, node = found
        if node.is_regular and node.mode & 0o111 and path.rpartition(b"/")[2] == b"systemd":
            return path.decode("ascii", "replace")
    return None


def subtree(root: Node, path: bytes) -> Node:
    """The directory at `path` as a tree of its own. Raises `Invalid` when it is not there."""
    node = find(root, path)
    if node is None or not node.is_directory:
        raise Invalid(f"the archive has no directory {ascii(path)}")
    return node


def add_file(root: Node, path: bytes, source: BinaryIO) -> None:
    """Put a file of root's with the content of `source` into the tree."""
    put(root, path, Node(mode=stat.S_IFREG | 0o644, body=Body(source, 0, source.seek(0, 2))))


class ArchiveTree:
    """A tree that other rooms edit and write through contracts of their own."""

    def __init__(self, source: BinaryIO) -> None:
        self.root = read_tar(source)

    def names(self) -> list[str]:
        """Relative paths of regular files."""
        return [path.decode("utf-8", "surrogateescape") for path, node in walk(self.root) if node.is_regular]

    def read(self, path: str) -> bytes:
        """The content of one regular file. Raises `Invalid` when there is none."""
        node = find(self.root, path.encode())
        if node is None or node.body is None:
            raise Invalid(f"the archive has no file {ascii(path)}")
        return node.body.read()

    def remove(self, path: str) -> None:
        parent, _, name = path.rpartition("/")
        node = find(self.root, parent.encode())
        if node is not None:
            node.children.pop(name.encode(), None)

    def empty(self, path: str) -> None:
        node = find(self.root, path.encode())
        if node is not None:
            node.children = {}

    def add_text(self, path: str, text: str) -> None:
        content = text.encode()
        put(self.root, path.encode(), Node(mode=stat.S_IFREG | 0o644, body=Body(io.BytesIO(content), 0, len(content))))

    def add_symlink(self, path: str, target: str) -> None:
        put(self.root, path.encode(), Node(mode=stat.S_IFLNK | 0o777, target=target.encode()))

    def find_init(self) -> str | None:
        return find_init(self.root)

    def write_image(self, destination: Path, report: Callable[[int], None]) -> int:
        """Write the whole tree as an image; its size in bytes."""
        return write_tree(self.root, destination, report=report).size_bytes

    def write_directory(self, directory: str, extra: dict[str, Path], destination: Path) -> None:
        """Write one directory as an image, with files of the host added to it."""
        root = subtree(self.root, directory.encode())
        with ExitStack() as opened:
            for name, path in extra.items():
                add_file(root, name.encode(), opened.enter_context(path.open("rb")))
            write_tree(root, destination)
