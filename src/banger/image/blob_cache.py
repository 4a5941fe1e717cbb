"""The cache of blobs from registries: named by their digests, complete and checked, or partial and resumable.

blobs/sha256/<hex>       complete; checked before it got this name; never changed
partial/sha256-<hex>     what has come so far; survives its downloader, and is read again from its start to go on
locks/sha256-<hex>       held while that blob is downloaded, in this process or another
in-use                   lock: shared while downloading or reading, exclusive while removing
"""

from __future__ import annotations

import asyncio
import os
import re
import stat
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from banger.core.errors import Failed, TimedOut, WrongState
from banger.core.faults import translate_os_error
from banger.core.files import make_private_directory, sync_directory
from banger.core.finishing import finish
from banger.core.locks import exclusive_lock, shared_lock
from banger.core.threads import run_in_thread
from banger.image.digests import new_hash, parse_digest, shorten
from banger.image.manifest import DOCUMENT_LIMIT_BYTES, Descriptor

_BUFFER_BYTES: Final = 256 << 10
_BUFFER_PIECES: Final = 4096
_DOWNLOAD_DEADLINE_S: Final = 24 * 3600.0
_REMOVING_DEADLINE_S: Final = 30.0
_NAME: Final = re.compile(r"(sha256|sha512)-([0-9a-f]+)")


class CheckSpace(Protocol):
    """Raises `Unavailable` when a file system has no room for so many bytes more."""

    def __call__(self, path: Path, /, *, needed_bytes: int) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedBlob:
    """A blob on the disk. `is_partial`: its download is unfinished. `used_at_s` is when it was last needed."""

    digest: str
    size_bytes: int
    used_at_s: float
    is_partial: bool


class Partial:
    """A blob that is being downloaded. Bytes are hashed and written in a thread, some at a time."""

    def __init__(self, descriptor: int, blob: Descriptor, progressed: Callable[[int], None]) -> None:
        self._descriptor = descriptor
        self._blob = blob
        self._progressed = progressed
        self._hash = new_hash(blob.digest)
        self._written = 0
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0

    @property
    def offset(self) -> int:
        """How many bytes there are so far."""
        return self._written + self._waiting_bytes

    async def write(self, data: bytes) -> None:
        """Append."""
        self._waiting.append(data)
        self._waiting_bytes += len(data)
        if self._waiting_bytes >= _BUFFER_BYTES or len(self._waiting) >= _BUFFER_PIECES:
            await self.flush()
            self._progressed(self.offset)

    async def restart(self) -> None:
        """Drop all bytes so far."""
        self._waiting, self._waiting_bytes = [], 0
        self._hash = new_hash(self._blob.digest)
        self._written = 0
        os.ftruncate(self._descriptor, 0)
        self._progressed(0)

    async def digest(self) -> str:
        """The digest of all bytes so far."""
        await self.flush()
        self._progressed(self.offset)
        return f"{self._blob.digest.partition(':')[0]}:{self._hash.hexdigest()}"

    async def flush(self) -> None:
        """Write what is still in memory."""
        if self._waiting:
            pieces, self._waiting, self._waiting_bytes = self._waiting, [], 0
            await finish(asyncio.to_thread(self._append, pieces))

    def reread(self, check: Callable[[], None]) -> None:
        """Hash what an earlier download left; it is dropped if it is longer than the blob.

        Blocking, and for large blobs long: `check` is called now and then, and may raise to end it.
        """
        if os.fstat(self._descriptor).st_size > self._blob.size:
            os.ftruncate(self._descriptor, 0)
        while data := os.pread(self._descriptor, _BUFFER_BYTES, self._written):
            self._hash.update(data)
            self._written += len(data)
            check()

    def _append(self, pieces: list[bytes]) -> None:
        data = b"".join(pieces)
        self._hash.update(data)
        view = memoryview(data)
        while view:
            count = os.pwrite(self._descriptor, view, self._written)
            self._written += count
            view = view[count:]


class BlobCache:
    """A cache below one directory, shared by every process of the user."""

    def __init__(self, root: Path, *, check_space: CheckSpace) -> None:
        self._root = root
        self._check_space = check_space

    @asynccontextmanager
    async def in_use(self) -> AsyncIterator[None]:
        """Prevent removal; hold it from fetching blobs until they were read."""
        make_private_directory(self._root)
        async with shared_lock(self._root / "in-use", deadline_s=_REMOVING_DEADLINE_S):
            yield

    def find(self, blob: Descriptor) -> Path | None:
        """The file of a complete blob, whose last use is set to now; None if it is missing."""
        path = self._path(blob.digest)
        try:
            status = os.lstat(path)
            if not stat.S_ISREG(status.st_mode) or status.st_size != blob.size:
                return None
            os.utime(path)
        except FileNotFoundError:
            return None
        return path

    def read(self, digest: str) -> bytes | None:
        """The content of a small blob, checked again; None if it is missing. A damaged one is removed."""
        try:
            with self._path(digest).open("rb") as file:
                content = file.read(DOCUMENT_LIMIT_BYTES + 1)
            os.utime(self._path(digest))
        except FileNotFoundError:
            return None
        computed = new_hash(digest)
        computed.update(content)
        if computed.hexdigest() != digest.partition(":")[2]:
            self.discard(digest)
            return None
        return content

    def discard(self, digest: str) -> None:
        """Remove a complete blob that turned out to be damaged: the next pull fetches it anew."""
        self._path(digest).unlink(missing_ok=True)

    async def put(self, digest: str, content: bytes) -> None:
        """Store a small blob that is in memory and checked."""

        async def copy(partial: Partial) -> None:
            await partial.restart()
            await partial.write(content)

        await self.fetch(Descriptor(media_type="", digest=digest, size=len(content)), copy)

    def check_space(self, blobs: Iterable[Descriptor]) -> None:
        """Raise `Unavailable` when the missing parts of these blobs do not fit on the disk."""
        missing = {blob.digest: blob for blob in blobs if self.find(blob) is None}.values()
        needed = sum(max(0, blob.size - self._partial_size(blob.digest)) for blob in missing)
        if needed:
            self._check_space(self._root, needed_bytes=needed)

    async def fetch(
        self,
        blob: Descriptor,
        download: Callable[[Partial], Awaitable[None]],
        *,
        progressed: Callable[[int], None] = lambda _done: None,
        waiting: Callable[[], None] = lambda: None,
    ) -> Path:
        """The file of a blob, which `download` completes if it is not there; a blob is downloaded once at a time.

        `progressed` is told how many bytes are there; `waiting` is called when somebody else is at it. Raises what
        `download` raises, `Failed` for a wrong digest, `Unavailable` for a full disk. What came so far then stays.
        """
        digest = parse_digest(blob.digest)
        partial_path = self._partial_path(digest)
        try:
            for directory in (partial_path.parent, self._root / "locks", self._path(digest).parent):
                make_private_directory(directory)
            lock = self._root / "locks" / partial_path.name
            async with (
                self.in_use(),
                exclusive_lock(lock, deadline_s=_DOWNLOAD_DEADLINE_S, waiting=waiting),
            ):
                found = self.find(blob)
                return found or await self._complete(blob, partial_path, download, progressed)
        except OSError as error:
            raise translate_os_error(error) from error

    def list(self) -> list[CachedBlob]:
        """All blobs, the longest unused first."""
        found: list[CachedBlob] = []
        for path in (*self._root.glob("blobs/*/*"), *self._root.glob("partial/*")):
            is_partial = path.parent.name == "partial"
            name = path.name if is_partial else f"{path.parent.name}-{path.name}"
            with suppress(OSError):
                status = path.lstat()
                if _NAME.fullmatch(name) is not None and stat.S_ISREG(status.st_mode):
                    found.append(
                        CachedBlob(
                            digest=name.replace("-", ":"),
                            size_bytes=status.st_size,
                            used_at_s=status.st_mtime,
                            is_partial=is_partial,
                        )
                    )
        return sorted(found, key=lambda blob: blob.used_at_s)

    async def remove(self, blobs: Iterable[CachedBlob]) -> int:
        """Remove blobs. Returns the bytes that were freed. Raises `WrongState` while anybody downloads or reads."""
        make_private_directory(self._root)
        try:
            async with exclusive_lock(self._root / "in-use", deadline_s=0):
                return await asyncio.to_thread(self._remove, list(blobs))
        except TimedOut as error:
            raise WrongState(
                "an image is being pulled right now, which needs what would be removed",
                hint="try again when it is done",
            ) from error

    def _remove(self, blobs: Iterable[CachedBlob]) -> int:
        freed = 0
        for blob in blobs:
            digest = parse_digest(blob.digest)
            partial = self._partial_path(digest)
            with suppress(FileNotFoundError):
                (partial if blob.is_partial else self._path(digest)).unlink()
                freed += blob.size_bytes
            (self._root / "locks" / partial.name).unlink(missing_ok=True)  # nobody can have it: we are alone
        return freed

    async def _complete(
        self,
        blob: Descriptor,
        partial_path: Path,
        download: Callable[[Partial], Awaitable[None]],
        progressed: Callable[[int], None],
    ) -> Path:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(partial_path, flags, 0o600)
        try:
            partial = Partial(descriptor, blob, progressed)
            await run_in_thread(partial.reread)
            progressed(partial.offset)
            try:
                await download(partial)
                found = await partial.digest()
            finally:
                await partial.flush()
            if found != blob.digest or partial.offset != blob.size:
                partial_path.unlink()
                raise Failed(
                    f"the blob {shorten(blob.digest)} came as {found}, not {blob.digest}",
                    hint="the registry, or something between it and us, changes what it sends; nothing of it was kept",
                )
            await finish(asyncio.to_thread(os.fsync, descriptor))
            return await finish(asyncio.to_thread(self._publish, blob.digest, partial_path))
        finally:
            os.close(descriptor)

    def _publish(self, digest: str, partial_path: Path) -> Path:
        path = self._path(digest)
        os.utime(partial_path)
        partial_path.rename(path)
        path.chmod(0o400)
        sync_directory(path.parent)
        return path

    def _path(self, digest: str) -> Path:
        algorithm, _, value = parse_digest(digest).partition(":")
        return self._root / "blobs" / algorithm / value

    def _partial_path(self, digest: str) -> Path:
        return self._root / "partial" / digest.replace(":", "-")

    def _partial_size(self, digest: str) -> int:
        with suppress(FileNotFoundError):
            return self._partial_path(digest).lstat().st_size
        return 0
