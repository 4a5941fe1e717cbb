"""From an archive to a file system image."""

from __future__ import annotations

import errno
import io
import os
import stat
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

from banger.core.errors import Invalid, Unavailable
from banger.core.untrusted import printable
from banger.disk.erofs import write_erofs
from banger.disk.tar import TarLimits, TarReader
from banger.disk.tree import Body, Node, Tree, find, resolve, walk

INIT_CANDIDATES = (b"/sbin/init", b"/usr/sbin/init", b"/lib/systemd/systemd", b"/usr/lib/systemd/systemd")


def read_tar(source: BinaryIO, *, spool: BinaryIO | None, report: Callable[[int], None] = lambda _bytes: None) -> Tree:
    """The tree of an archive, see `TarReader`. Raises `Invalid`, also for an archive without any member."""
    tree = TarReader(source, limits=TarLimits(), spool=spool, report=report).read()
    if not tree.root.children:
        raise Invalid("the archive is empty", hint="give the tar file of a root file system")
    return tree


def write_image(root: Node, destination: Path, *, report: Callable[[int], None] = lambda _bytes: None) -> int:
    """Write the tree as an EROFS image to a new file, make it durable, and return its size in bytes.

    Nothing is left when it fails. Raises `Unavailable` when there is no space for it.
    """
    descriptor = os.open(destination, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w+b") as output:
            size_bytes = write_erofs(root, output, report=report)
            output.flush()
            os.fsync(output.fileno())
    except BaseException as error:
        destination.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise Unavailable(
                "there is no space left for the image", hint="free some space, or set BANGER_HOME to a larger disk"
            ) from error
        raise
    return size_bytes


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


class ArchiveTree:
    """A tree that other rooms edit and write through contracts of their own. Valid while the archive is open.

    What a source that cannot seek holds is kept in a nameless file in `scratch` until `close`.
    """

    def __init__(
        self,
        source: BinaryIO,
        *,
        scratch: Path | None = None,
        report: Callable[[int], None] = lambda _bytes: None,
    ) -> None:
        self._spool = None if source.seekable() else tempfile.TemporaryFile(dir=scratch)  # noqa: SIM115 - see close
        try:
            self.tree = read_tar(source, spool=self._spool, report=report)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Give the nameless file back."""
        if self._spool is not None:
            self._spool.close()

    @property
    def content_bytes(self) -> int:
        """What the files hold together; what `write_image` reports against."""
        return sum(node.body.length for _, node in walk(self.tree.root) if node.body is not None)

    def names(self) -> list[str]:
        """Relative paths of regular files."""
        return [os.fsdecode(path) for path, node in walk(self.tree.root) if node.is_regular]

    def read(self, path: str) -> bytes:
        """The content of one regular file. Raises `Invalid` when there is none."""
        node = find(self.tree.root, os.fsencode(path))
        if node is None or node.body is None:
            raise Invalid(f"the archive has no file {printable(path)}")
        return node.body.read()

    def read_start(self, path: str, size: int) -> bytes | None:
        """The first bytes of the file at `path`, symbolic links followed within the tree; None when there is none."""
        found = resolve(self.tree.root, os.fsencode(path))
        if found is None or found[1].body is None:
            return None
        body = found[1].body
        return Body(body.source, body.offset, min(size, body.length)).read()

    def remove(self, path: str) -> None:
        """Take a file or directory out; nothing happens when it is not there."""
        parent, _, name = path.rpartition("/")
        node = find(self.tree.root, os.fsencode(parent))
        gone = node.children.pop(os.fsencode(name), None) if node is not None else None
        if gone is not None:
            _unlink(gone)

    def empty(self, path: str) -> None:
        """Take everything out of a directory."""
        node = find(self.tree.root, os.fsencode(path))
        if node is not None:
            for child in node.children.values():
                _unlink(child)
            node.children = {}

    def clear(self, path: str) -> None:
        """Take out everything below a directory that is no directory itself."""
        start = find(self.tree.root, os.fsencode(path))
        for _, node in list(walk(start)) if start is not None else ():
            for name, child in list(node.children.items()):
                if not child.is_directory:
                    del node.children[name]
                    child.links -= 1

    def add_file(self, path: str, content: bytes, *, mode: int = 0o644) -> None:
        """Put a file of root's."""
        body = Body(io.BytesIO(content), 0, len(content))
        self.tree.put(os.fsencode(path), Node(mode=stat.S_IFREG | mode, body=body))

    def add_symlink(self, path: str, target: str) -> None:
        """Put a symbolic link of root's."""
        self.tree.put(os.fsencode(path), Node(mode=stat.S_IFLNK | 0o777, target=os.fsencode(target)))

    def find_init(self) -> str | None:
        """The path of the systemd that takes over as PID 1, if there is one."""
        return find_init(self.tree.root)

    def write_image(self, destination: Path, report: Callable[[int], None]) -> int:
        """Write the whole tree as an image; its size in bytes."""
        return write_image(self.tree.root, destination, report=report)

    def write_directory(self, directory: str, extra: Mapping[str, Path], destination: Path) -> None:
        """Write one directory as an image, with files of the host added to it."""
        root = find(self.tree.root, os.fsencode(directory))
        if root is None or not root.is_directory:
            raise Invalid(f"the archive has no directory {printable(directory)}")
        with ExitStack() as opened:
            for name, path in sorted(extra.items()):
                file = opened.enter_context(path.open("rb"))
                body = Body(file, 0, os.fstat(file.fileno()).st_size)
                root.children[os.fsencode(name)] = Node(mode=stat.S_IFREG | 0o644, mtime_s=root.mtime_s, body=body)
            write_image(root, destination)


def _unlink(node: Node) -> None:
    """Count one name less for a node and for everything below it, so that hard links elsewhere stay right."""
    for _, below in walk(node):
        below.links -= 1
