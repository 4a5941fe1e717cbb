"""Unpacking layers into archives, some at a time.

Where an image has several layers of some size, two are unpacked at once: most of the work is that of libraries which
leave the interpreter to others.
"""

from __future__ import annotations

import errno
import io
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, Final, Protocol

from banger.core.errors import Invalid, Unavailable
from banger.core.layers import Layer
from banger.disk.decompression import ExpansionLimits, LayerReader

_AT_ONCE: Final = 2
_WORTH_BYTES: Final = 1 << 20
_PIECE_BYTES: Final = 256 << 10
_BUFFER_BYTES: Final = 256 << 10
_ZEROS: Final = bytes(_PIECE_BYTES)


class Shelf(Protocol):
    """Keeps archives for images that share layers."""

    def find(self, diff_id: str) -> BinaryIO | None:
        """The archive of that digest, if it was kept and is undamaged."""

    def keep(self, diff_id: str, archive: BinaryIO) -> None:
        """Keep a nameless file, which is undamaged, if there is room for it."""


@dataclass(frozen=True, slots=True)
class Archive:
    """What a layer was unpacked to. It ends with `error` if it is incomplete or not what it should be."""

    file: BinaryIO
    error: Invalid | None = None

    def open(self) -> io.BufferedReader:
        """A reader of its own, which raises the error where the file ends, and does not close it."""
        return io.BufferedReader(_Broken(self.file, self.error), _BUFFER_BYTES)


class Unpacking:
    """The archives of layers, in their order. `report` is told the bytes of the layers that were read so far."""

    def __init__(
        self,
        layers: Sequence[Layer],
        *,
        open_spool: Callable[[], BinaryIO],
        shelf: Shelf,
        limits: ExpansionLimits,
        report: Callable[[int], None],
    ) -> None:
        self._layers = layers
        self._open_spool = open_spool
        self._shelf = shelf
        self._made: dict[str, BinaryIO] = {}
        self._limits = limits
        self._report = report
        self._read_bytes = [0] * len(layers)
        self._lock = threading.Lock()
        self._stopped = False

    @contextmanager
    def archives(self) -> Iterator[Iterator[Archive]]:
        """Archives whose files belong to whoever takes them. What else goes wrong is raised when its turn comes."""
        if len(self._layers) < 2 or sum(layer.size for layer in self._layers) < _WORTH_BYTES:
            yield map(self._unpack, range(len(self._layers)))
            return
        with ThreadPoolExecutor(_AT_ONCE, "layer") as pool:
            waiting = [pool.submit(self._unpack, number) for number in range(len(self._layers))]
            try:
                yield (_take(waiting) for _ in self._layers)
            finally:
                self._stopped = True
                for unwanted in waiting:
                    unwanted.add_done_callback(_close)
                    unwanted.cancel()

    def keep(self) -> None:
        """Give the unpacked archives to the shelf. The files must still be open."""
        for diff_id, archive in self._made.items():
            self._shelf.keep(diff_id, archive)

    def tell(self) -> None:
        """Report again what was reported last."""
        with self._lock:
            self._report(sum(self._read_bytes))

    def _unpack(self, number: int) -> Archive:
        layer = self._layers[number]
        if layer.diff_id is not None and (kept := self._shelf.find(layer.diff_id)) is not None:
            self._moved(number, layer.size)
            return Archive(kept)
        file = self._open_spool()
        try:
            with layer.open() as opened:
                blob = LayerReader(
                    opened,
                    media_type=layer.media_type,
                    digest=layer.digest,
                    size=layer.size,
                    diff_id=layer.diff_id,
                    limits=self._limits,
                )
                with closing(blob):
                    archive = Archive(file, self._copy(blob, file, number))
        except BaseException:
            file.close()
            raise
        if layer.diff_id not in (None, layer.digest) and archive.error is None:
            self._made[str(layer.diff_id)] = file
        return archive

    def _copy(self, blob: LayerReader, file: BinaryIO, number: int) -> Invalid | None:
        """Copy what comes out of a layer; what is wrong with it, when all that came is copied."""
        hole = False
        error: Invalid | None = None
        try:
            for data in blob.pieces(_PIECE_BYTES):
                self._moved(number, blob.position)
                hole = data == _ZEROS
                if hole:
                    file.seek(len(data), 1)
                else:
                    _write(file, data)
            blob.finish()
        except Invalid as found:
            error = found
        if hole:
            file.seek(-1, 1)
            _write(file, b"\0")
        file.seek(0)
        return error

    def _moved(self, number: int, read_bytes: int) -> None:
        with self._lock:
            if self._stopped:
                raise _Unwanted
            self._read_bytes[number] = read_bytes
            self._report(sum(self._read_bytes))


class _Unwanted(Exception):
    """The layer is no longer wanted."""


class _Broken(io.RawIOBase):
    """A file that ends with an error, if there is one."""

    def __init__(self, file: BinaryIO, error: Invalid | None) -> None:
        super().__init__()
        self._file = file
        self._error = error

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        return self._file.seek(offset, whence)

    def readinto(self, buffer: Any, /) -> int:  # noqa: ANN401 - there is no type for it before 3.12
        data = self._file.read(len(buffer))
        if not data and self._error is not None:
            raise self._error
        buffer[: len(data)] = data
        return len(data)


def _take(waiting: list[Future[Archive]]) -> Archive:
    return waiting.pop(0).result()


def _close(unwanted: Future[Archive]) -> None:
    if not unwanted.cancelled() and unwanted.exception() is None:
        unwanted.result().file.close()


def _write(archive: BinaryIO, data: bytes) -> None:
    view = memoryview(data)
    try:
        while view:
            view = view[archive.write(view) :]
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise Unavailable("there is no space left to unpack the layers", hint="free some space") from error
        raise
