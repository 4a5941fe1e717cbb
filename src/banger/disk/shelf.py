"""Unpacked layers that are kept for images which share them.

<root>/sha256-<hex>      an archive, named by its digest; not written durably

An archive is compared with its digest before its first use in a process, and again when its numbers (stat(2)) are not
those that it had then: every change of a file changes its ctime. The longest unused are removed when there
are too many or the disk is nearly full. Files may be removed at any time: whoever has one open is not disturbed.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, cast

from banger.core.content_store import digest_file
from banger.core.files import make_private_directory
from banger.disk.space import FLOOR_BYTES, read_free_bytes

KEPT_BYTES: Final = 4 << 30
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
_NO_NAME: Final = (errno.EEXIST, errno.ENOENT, errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.ENOSPC, errno.EMLINK)


_Numbers = tuple[int, int, int, int, int]


@dataclass(frozen=True, slots=True)
class KeptLayer:
    """An archive on the disk."""

    path: Path
    size_bytes: int
    used_at_s: float


class LayerShelf:
    """Archives below one directory: `limit_bytes` at most, and none while `read_free` says that little is free."""

    def __init__(
        self, root: Path, *, limit_bytes: int = KEPT_BYTES, read_free: Callable[[Path], int] = read_free_bytes
    ) -> None:
        self._root = root
        self._limit_bytes = limit_bytes
        self._read_free = read_free
        self._compared: dict[Path, _Numbers] = {}

    def find(self, diff_id: str) -> BinaryIO | None:
        """The archive, checked; a damaged one is removed."""
        path = self._path(diff_id)
        if path is None:
            return None
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return None
        file = cast("BinaryIO", os.fdopen(descriptor, "rb", 0))
        try:
            if self._is_whole(path, descriptor, diff_id):
                os.utime(descriptor)
                self._compared[path] = _look_at(descriptor)
                return file
        except OSError:
            pass
        file.close()
        self._remove(path)
        return None

    def keep(self, diff_id: str, archive: BinaryIO) -> None:
        """Link a nameless file with that digest to a name here, if the file system can and there is room."""
        path = self._path(diff_id)
        size_bytes = _taken(os.fstat(archive.fileno()))
        if path is None or not self._make_room(size_bytes):
            return
        make_private_directory(self._root)
        try:
            # Python follows the link (linkat(2)) only where it is given a directory, of which the path makes no use.
            source = f"/proc/self/fd/{archive.fileno()}"
            os.link(source, path, src_dir_fd=archive.fileno(), follow_symlinks=True)
            self._compared[path] = _look_at(archive.fileno())
        except OSError as error:
            if error.errno not in _NO_NAME:
                raise

    def list(self) -> Sequence[KeptLayer]:
        """The kept archives, the longest unused first."""
        found = []
        for path in self._root.glob("sha256-*"):
            with suppress(FileNotFoundError):
                status = path.lstat()
                if stat.S_ISREG(status.st_mode):
                    found.append(KeptLayer(path, _taken(status), status.st_mtime))
        return sorted(found, key=lambda layer: layer.used_at_s)

    def remove(self, layers: Iterable[KeptLayer]) -> None:
        for layer in layers:
            self._remove(layer.path)

    def _remove(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        self._compared.pop(path, None)

    def _is_whole(self, path: Path, descriptor: int, diff_id: str) -> bool:
        """Whether the open file has its digest. Read only if it may have changed since the last check."""
        before = _look_at(descriptor)
        if self._compared.get(path) == before:
            return True
        return digest_file(Path(f"/proc/self/fd/{descriptor}")) == diff_id and _look_at(descriptor) == before

    def _make_room(self, size_bytes: int) -> bool:
        kept = deque(self.list())
        total_bytes = sum(layer.size_bytes for layer in kept) + size_bytes
        while kept and (total_bytes > self._limit_bytes or self._read_free(self._root) < FLOOR_BYTES):
            layer = kept.popleft()
            self.remove([layer])
            total_bytes -= layer.size_bytes
        return total_bytes <= self._limit_bytes and self._read_free(self._root) >= FLOOR_BYTES

    def _path(self, diff_id: str) -> Path | None:
        return self._root / diff_id.replace(":", "-") if _DIGEST.fullmatch(diff_id) is not None else None


def _look_at(descriptor: int) -> _Numbers:
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _taken(status: os.stat_result) -> int:
    return status.st_blocks * 512
