"""The user's file system images, used in place: what they were when registered, and whether they have changed."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from banger.core.content_store import digest_file
from banger.core.errors import Failed, Invalid, NotFound, Unsupported
from banger.core.strict import read_dataclass
from banger.core.untrusted import printable

_PIECE_BYTES: Final = 1 << 20
# Where a file system says what it is (linux/magic.h, and the layouts of its super blocks).
_MAGICS: Final = ((1024, b"\xe2\xe1\xf5\xe0", "erofs"), (1080, b"\x53\xef", "ext4"))
_HINT: Final = "give an EROFS or ext4 image of a root file system; `banger image import` takes archives"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFile:
    """A file as it was when it was registered.

    The numbers reveal a change without reading it (stat(2)). The device is not among them: its number may be another
    one after each boot.
    """

    path: str
    digest: str
    size_bytes: int
    inode: int
    mtime_ns: int
    ctime_ns: int

    def encode(self) -> dict[str, Any]:
        return asdict(self)


def decode_host_file(value: Mapping[str, Any] | None) -> HostFile | None:
    """Read what `encode` wrote. Raises `ValueError`."""
    return None if value is None else read_dataclass(HostFile, dict(value))


def look_at(path: Path, *, tell: Callable[[int, int], None]) -> tuple[HostFile, str]:
    """A file with its digest and the kind of its file system; blocking. `tell` gets the bytes read and the total.

    Only its magic number is interpreted. Raises `NotFound`, `Invalid`, `Unsupported`, and `Failed` for one
    that changes meanwhile.
    """
    with _open(path) as file:
        before = os.fstat(file.fileno())
        kind = _find_kind(file)
        file.seek(0)
        digest = hashlib.sha256()
        for piece in _read_pieces(file, before.st_size, tell):
            digest.update(piece)
    found = _describe(path, f"sha256:{digest.hexdigest()}", before)
    check_unchanged(found)
    return found, kind


def is_unchanged(file: HostFile) -> bool:
    """Whether a registered file exists and is unchanged, by its numbers."""
    try:
        check_unchanged(file)
    except (Failed, NotFound):
        return False
    return True


def check_unchanged(file: HostFile) -> None:
    """Raise `Failed` when a registered file has changed, `NotFound` when it is gone."""
    path = Path(file.path)
    try:
        now = path.stat()
    except OSError as error:
        raise NotFound(
            f"the registered image {printable(file.path, limit=300)} cannot be used: {error.strerror}",
            hint="put it back, or delete the image; `banger image promote` keeps a copy of such files",
        ) from error
    if _describe(path, file.digest, now) != file:
        raise Failed(
            f"{printable(file.path, limit=300)} has changed since it was registered",
            hint="if its content is the same, register it again under the same name; else delete the image first",
        )


def compare(file: HostFile) -> None:
    """Read a registered file and compare its digest; blocking. Raises `Failed` with both."""
    check_unchanged(file)
    _check_digest(file, digest_file(Path(file.path)))


def copy(file: HostFile, destination: Path, *, tell: Callable[[int, int], None]) -> None:
    """Copy a registered file, holes too, and compare what was copied; blocking. Raises `Failed`."""
    check_unchanged(file)
    with _open(Path(file.path)) as source, destination.open("xb") as target:
        for piece in _read_pieces(source, file.size_bytes, tell):
            if piece.count(0) == len(piece):
                target.seek(len(piece), os.SEEK_CUR)
            else:
                target.write(piece)
        target.truncate(target.tell())
    _check_digest(file, digest_file(destination))


def _check_digest(file: HostFile, found: str) -> None:
    if found != file.digest:
        raise Failed(
            f"{printable(file.path, limit=300)} is {found}, not {file.digest} as it was registered",
            hint="delete the image and register it again",
        )


def _read_pieces(file: BinaryIO, size_bytes: int, tell: Callable[[int, int], None]) -> Iterator[bytes]:
    """Read a file to its end, or a little beyond if it grows meanwhile, which its digest and times reveal."""
    done = 0
    while done <= size_bytes and (piece := file.read(_PIECE_BYTES)):
        done += len(piece)
        tell(min(done, size_bytes), size_bytes)
        yield piece


def _open(path: Path) -> BinaryIO:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise NotFound(f"{printable(str(path), limit=300)} cannot be read: {error.strerror}", hint=_HINT) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise Invalid(f"{printable(str(path), limit=300)} is not a regular file", hint=_HINT)
    return os.fdopen(descriptor, "rb")


def _find_kind(file: BinaryIO) -> str:
    head = file.read(2048)
    for offset, magic, kind in _MAGICS:
        if head[offset : offset + len(magic)] == magic:
            return kind
    raise Unsupported("the file holds no file system that guests can have as their root", hint=_HINT)


def _describe(path: Path, digest: str, status: os.stat_result) -> HostFile:
    return HostFile(
        path=str(path),
        digest=digest,
        size_bytes=status.st_size,
        inode=status.st_ino,
        mtime_ns=status.st_mtime_ns,
        ctime_ns=status.st_ctime_ns,
    )
