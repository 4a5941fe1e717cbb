"""From an archive, or from layers, to a file system image."""

from __future__ import annotations

import errno
import io
import itertools
import os
import stat
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final, cast

from banger.core.errors import Invalid, Unavailable, Unsupported
from banger.core.layers import Layer
from banger.core.untrusted import printable
from banger.disk.erofs import write_erofs
from banger.disk.following import FollowingDigest
from banger.disk.layers import EMPTY_SHELF, read_layers
from banger.disk.members import ArchiveMembers
from banger.disk.paths import find, resolve, walk
from banger.disk.space import SparingFile
from banger.disk.tar import TarLimits, TarReader
from banger.disk.tree import ROOT, Body, Node, Tree
from banger.disk.unpacking import Shelf
from banger.disk.windows import open_body

INIT_CANDIDATES: Final = (b"/sbin/init", b"/usr/sbin/init", b"/lib/systemd/systemd", b"/usr/lib/systemd/systemd")
_BUFFER_BYTES: Final = 256 << 10


def read_tar(source: BinaryIO, *, spool: BinaryIO | None, report: Callable[[int], None] = lambda _bytes: None) -> Tree:
    """The tree of an archive, see `TarReader`. Raises `Invalid`, also for an archive without any member."""
    tree = Tree(source if spool is None else spool)
    TarReader(source, ArchiveMembers(tree), limits=TarLimits(), spool=spool, report=report).read()
    if tree.nodes == 1:
        raise Invalid("the archive is empty", hint="give the tar file of a root file system")
    return tree


def write_image(
    tree: Tree, destination: Path, *, root: int = ROOT, report: Callable[[int], None] = lambda _bytes: None
) -> str:
    """Write the tree, or a directory in it, as an EROFS image to a new file, durably; the digest of the file.

    Nothing is left when it fails. Raises `Unavailable` when there is no space for it.
    """
    descriptor = os.open(destination, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with _buffered(SparingFile(descriptor, "r+")) as output, FollowingDigest(descriptor) as digest:
            size_bytes = write_erofs(tree, output, root=root, report=report, settled=digest.settled)
            os.fsync(descriptor)
            return digest.finish(size_bytes)
    except BaseException as error:
        destination.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise Unavailable(
                "there is no space left for the image", hint="free some space, or set BANGER_HOME to a larger disk"
            ) from error
        raise


def find_init(tree: Tree) -> str | None:
    """The init that takes over as PID 1: systemd, under whichever name the image has it. Others are not used:
    a busybox `init` without its configuration would do nothing but respawn consoles.
    """
    for candidate in INIT_CANDIDATES:
        found = resolve(tree, candidate)
        if found is None:
            continue
        path, inode = found
        mode = tree.mode(inode)
        if stat.S_ISREG(mode) and mode & 0o111 and path.rpartition(b"/")[2] == b"systemd":
            return path.decode("ascii", "replace")
    return None


class RootTree:
    """A tree that other rooms edit and write through their own contracts. Valid while its source is open."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self._members = ArchiveMembers(tree)
        self._reading = threading.Lock()

    @property
    def content_bytes(self) -> int:
        """The size of all file contents, which is the total that `write_image` reports against."""
        return self.tree.content_bytes

    def names(self) -> list[str]:
        """Relative paths of regular files."""
        return [os.fsdecode(path) for path, inode in walk(self.tree) if stat.S_ISREG(self.tree.mode(inode))]

    def read(self, path: str) -> bytes:
        """The content of one regular file. Raises `Invalid` when there is none."""
        inode = find(self.tree, os.fsencode(path))
        if inode is None or not stat.S_ISREG(self.tree.mode(inode)):
            raise Invalid(f"the archive has no file {printable(path)}")
        return self.tree.body(inode).read()

    def open(self, path: str) -> BinaryIO | None:
        """The content of the regular file at `path`, symbolic links followed within the tree; None when there is none.

        What is opened may be read in several threads. Raises `Unsupported` for a sparse one.
        """
        found = resolve(self.tree, os.fsencode(path))
        if found is None or not stat.S_ISREG(self.tree.mode(found[1])):
            return None
        body = self.tree.body(found[1])
        if body.pieces is not None:
            raise Unsupported(f"{printable(path)} in the archive is a sparse file", hint="archive it without --sparse")
        return open_body(body, self._reading)

    def read_start(self, path: str, size: int) -> bytes | None:
        """The first bytes of the file at `path`, symbolic links followed within the tree; None when there is none."""
        found = resolve(self.tree, os.fsencode(path))
        if found is None or not stat.S_ISREG(self.tree.mode(found[1])):
            return None
        return self.tree.body(found[1]).read(size)

    def files_in(self, directory: str, *, limit: int) -> list[str]:
        """Names of regular files right in a directory, among its first `limit` entries; links to it are followed."""
        found = resolve(self.tree, os.fsencode(directory))
        if found is None or not self.tree.is_directory(found[1]):
            return []
        entries = self.tree.entries
        children = itertools.islice(entries.sort(found[1]), limit)
        return [os.fsdecode(entries.name(one)) for one in children if stat.S_ISREG(self.tree.mode(entries.inode[one]))]

    def remove(self, path: str) -> None:
        """Remove a file or directory, if it exists."""
        parent, _, name = path.rpartition("/")
        directory = find(self.tree, os.fsencode(parent))
        entry = self.tree.entries.find(directory, os.fsencode(name)) if directory is not None else 0
        if entry:
            self.tree.remove(entry)

    def empty(self, path: str) -> None:
        """Remove everything in a directory."""
        directory = find(self.tree, os.fsencode(path))
        for entry in list(self.tree.entries.children(directory)) if directory is not None else ():
            self.tree.remove(entry)

    def clear(self, path: str) -> None:
        """Remove everything below a directory except directories."""
        start = find(self.tree, os.fsencode(path))
        directories = [] if start is None else [inode for _, inode in walk(self.tree, start)]
        for directory in filter(self.tree.is_directory, directories):
            for entry in list(self.tree.entries.children(directory)):
                if not self.tree.is_directory(self.tree.entries.inode[entry]):
                    self.tree.remove(entry)

    def add_file(self, path: str, content: bytes, *, mode: int = 0o644) -> None:
        """Add a file that belongs to root."""
        self.add_open_file(path, io.BytesIO(content), mode=mode)

    def add_symlink(self, path: str, target: str) -> None:
        """Add a symbolic link that belongs to root."""
        self._members.put(os.fsencode(path), Node(mode=stat.S_IFLNK | 0o777, target=os.fsencode(target)))

    def add_open_file(self, path: str, content: BinaryIO, *, mode: int = 0o644) -> None:
        """Add a file that belongs to root, with the content of an open, seekable one, which stays open."""
        body = Body(content, 0, content.seek(0, os.SEEK_END))
        self._members.put(os.fsencode(path), Node(mode=stat.S_IFREG | mode, body=body))

    def find_init(self) -> str | None:
        """The path of the systemd that takes over as PID 1, if there is one."""
        return find_init(self.tree)

    def write_image(self, destination: Path, report: Callable[[int], None]) -> str:
        """Write the whole tree as an image; the digest of the file."""
        return write_image(self.tree, destination, report=report)

    def write_directory(self, directory: str, extra: Mapping[str, Path], destination: Path) -> None:
        """Write one directory as an image, with files of the host added to it."""
        root = find(self.tree, os.fsencode(directory))
        if root is None or not self.tree.is_directory(root):
            raise Invalid(f"the archive has no directory {printable(directory)}")
        mtime_s = self.tree.node(root).mtime_s
        with ExitStack() as opened:
            for name, path in sorted(extra.items()):
                file = opened.enter_context(path.open("rb"))
                body = Body(file, 0, os.fstat(file.fileno()).st_size)
                node = Node(mode=stat.S_IFREG | 0o644, mtime_s=mtime_s, body=body)
                self._members.put(os.fsencode(f"{directory}/{name}"), node)
            write_image(self.tree, destination, root=root)


class ArchiveTree(RootTree):
    """The tree of one archive.

    What a source that cannot seek holds is kept in a nameless file in `scratch` until `close`.
    """

    def __init__(
        self,
        source: BinaryIO,
        *,
        scratch: Path | None = None,
        report: Callable[[int], None] = lambda _bytes: None,
    ) -> None:
        self._spool = None if source.seekable() else open_spool(scratch)
        try:
            super().__init__(read_tar(source, spool=self._spool, report=report))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Give the nameless file back."""
        if self._spool is not None:
            self._spool.close()


class LayerTree(RootTree):
    """The tree of an image's layers, whose archives are in nameless files in `scratch`, or on a shelf. Close it."""

    def __init__(
        self,
        layers: Sequence[Layer],
        *,
        scratch: Path | None,
        report: Callable[[int, int], None],
        shelf: Shelf = EMPTY_SHELF,
    ) -> None:
        """Raises what `read_layers` does."""
        opened = partial(open_nameless, scratch)
        super().__init__(read_layers(layers, open_spool=opened, shelf=shelf, report=report))

    def close(self) -> None:
        """Give the nameless files back."""
        if self.tree.source is not None:
            self.tree.source.close()


def open_spool(scratch: Path | None) -> BinaryIO:
    """A nameless file in a directory of ours, for contents of files."""
    return _buffered(open_nameless(scratch))


def open_nameless(scratch: Path | None) -> BinaryIO:
    """The same, unbuffered, and linkable to a name if the file system allows it (open(2), O_TMPFILE)."""
    try:
        descriptor = os.open(scratch or tempfile.gettempdir(), os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o400)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT):
            raise
        with tempfile.TemporaryFile(dir=scratch, buffering=0) as file:
            descriptor = os.dup(file.fileno())
    return cast("BinaryIO", SparingFile(descriptor, "r+"))


def _buffered(file: BinaryIO | SparingFile) -> BinaryIO:
    return cast("BinaryIO", io.BufferedRandom(cast("io.RawIOBase", file), _BUFFER_BYTES))
