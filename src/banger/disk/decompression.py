"""Reading layers: compressed or not, compared with their digests, and perhaps made to fill a disk.

The first bytes say how a layer is compressed; its media type, which registries and tools get wrong, says only that it
is one. Everything is bounded while it streams: the input by the descriptor's size, the output by a multiple of
it.
"""

from __future__ import annotations

import functools
import hashlib
import io
import sys
import threading
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, Final, Protocol

from banger.core.errors import Invalid, Unsupported
from banger.core.untrusted import printable

LAYER_TYPES: Final = frozenset(
    f"{base}{suffix}"
    for base, suffixes in {
        "application/vnd.oci.image.layer.v1.tar": ("", "+gzip", "+zstd"),
        "application/vnd.oci.image.layer.nondistributable.v1.tar": ("", "+gzip", "+zstd"),
        "application/vnd.docker.image.rootfs.diff.tar": ("", ".gzip", ".zstd"),
        "application/vnd.docker.image.rootfs.foreign.diff.tar": ("", ".gzip", ".zstd"),
    }.items()
    for suffix in suffixes
)
HINT: Final = "pull the image again; if it stays like this, whoever made or keeps it has damaged it"
_INPUT_BYTES: Final = 32 << 10  # small, because what is left of it is copied for each member of a gzip file
_BUFFER_BYTES: Final = 256 << 10
_DRAIN_BYTES: Final = 1 << 20
_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_ZSTD_SKIPPABLE: Final = frozenset(bytes((low, 0x2A, 0x4D, 0x18)) for low in range(0x50, 0x60))  # RFC 8878, 3.1.2
_GZIP_WBITS: Final = 16 + zlib.MAX_WBITS
_WINDOW_LOG_LIMIT: Final = 26  # 64 MiB
_ZSTD_HEAD_BYTES: Final = 18  # the longest header of a frame, with its magic
# Layers that need a long history are decompressed one at a time, in the whole process: threads share its memory.
_SMALL_HISTORY_BYTES: Final = 8 << 20
_LARGE_HISTORY: Final = threading.Lock()
_ALGORITHMS: Final = {"sha256": 64, "sha512": 128}
_HEX: Final = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpansionLimits:
    """How many bytes may come out of a layer: always `free_bytes`, and `ratio` for each byte of input."""

    free_bytes: int = 256 << 20
    ratio: int = 250


class _Decompressor(Protocol):
    """Of one gzip member or zstd frame."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Codec(Protocol):
    """A format of members or frames that may follow each other."""

    @property
    def error(self) -> type[Exception]: ...

    @staticmethod
    def begins(data: bytes) -> bool: ...

    def make(self) -> _Decompressor: ...

    @staticmethod
    def history_bytes(head: bytes) -> int:
        """How much output has to be kept for decompression, by the first bytes of a member or frame."""


class _Gzip:
    error = zlib.error

    @staticmethod
    def begins(data: bytes) -> bool:
        return data.startswith(_GZIP)

    def make(self) -> _Decompressor:
        return zlib.decompressobj(_GZIP_WBITS)

    @staticmethod
    def history_bytes(_head: bytes) -> int:
        return 1 << zlib.MAX_WBITS


class _Zstd:
    """zstd. Its library is imported only when a layer needs it, which keeps the daemon's start short."""

    def __init__(self) -> None:
        if sys.version_info >= (3, 14):
            from compression import zstd
        else:
            from backports import zstd
        self.error: type[Exception] = zstd.ZstdError
        self.make: Callable[[], _Decompressor] = functools.partial(
            zstd.ZstdDecompressor, options={zstd.DecompressionParameter.window_log_max: _WINDOW_LOG_LIMIT}
        )

    @staticmethod
    def begins(data: bytes) -> bool:
        return data.startswith(_ZSTD) or data[:4] in _ZSTD_SKIPPABLE

    @staticmethod
    def history_bytes(head: bytes) -> int:
        """RFC 8878, 3.1.1.1: the window, or the size of a content that is its own; 0 for what is cut short."""
        if not head.startswith(_ZSTD) or len(head) < _ZSTD_HEAD_BYTES:
            return 0
        described = head[4]
        if not described & 0x20:
            base = 1 << 10 + (head[5] >> 3)
            return base + base // 8 * (head[5] & 7)
        begin, width = 5 + (0, 1, 2, 4)[described & 3], 1 << (described >> 6)
        return int.from_bytes(head[begin : begin + width], "little")


class LayerReader:
    """The archive in a blob, as `content`, while both digests are taken.

    Raises `Invalid` for digests of an unknown kind, `Unsupported` for a media type that is of no layer; an empty one
    stands for "some layer". Reading raises `Invalid` too.
    """

    def __init__(
        self,
        source: BinaryIO,
        *,
        media_type: str,
        digest: str,
        size: int,
        diff_id: str | None,
        limits: ExpansionLimits,
    ) -> None:
        """`size` and `digest` are the blob's, `diff_id` is the archive's or None."""
        if media_type and media_type not in LAYER_TYPES:
            raise Unsupported(f"the layer is not a tar archive, but {ascii(media_type[:100])}", hint=HINT)
        self._blob = _Blob(source, digest, size)
        self._raw = _open_archive(self._blob, limits)
        if diff_id is not None and not (diff_id == digest and isinstance(self._raw, _Plain)):
            self._raw.digest = Digest(diff_id)
        self.content: BinaryIO = io.BufferedReader(self._raw, _BUFFER_BYTES)

    @property
    def position(self) -> int:
        """Bytes of the blob read so far."""
        return self._blob.position

    def pieces(self, size: int) -> Iterator[bytes]:
        """All of the archive that `content` has not given yet, in pieces of at most `size` bytes."""
        while data := self._raw.take(size):
            yield data

    def close(self) -> None:
        """Release what other threads wait for. The blob stays open."""
        self._raw.close()

    def finish(self) -> None:
        """Read the rest, and compare digests. Raises `Invalid` naming both digests or sizes."""
        while self.content.read(_DRAIN_BYTES):
            pass
        self._blob.finish()
        if self._raw.digest is not None:
            self._raw.digest.compare("the archive in the layer")


class Digest:
    """A digest being computed, and its expected value. Raises `Invalid` if that is not a digest."""

    def __init__(self, expected: str) -> None:
        algorithm, _, text = expected.partition(":")
        if _ALGORITHMS.get(algorithm) != len(text) or not _HEX.issuperset(text):
            raise Invalid(f"{ascii(expected[:100])} is not a digest", hint=HINT)
        self._expected = expected
        self._algorithm = algorithm
        self._hash = hashlib.new(algorithm)
        self.update = self._hash.update

    def compare(self, what: str) -> None:
        """Raises `Invalid` naming both."""
        found = f"{self._algorithm}:{self._hash.hexdigest()}"
        if found != self._expected:
            raise Invalid(f"{what} is {found}, not {self._expected} as the image says", hint=HINT)


class _Blob:
    """A blob of known size and digest."""

    def __init__(self, source: BinaryIO, digest: str, size: int) -> None:
        self._source = source
        self._digest = Digest(digest)
        self._size = size
        self.position = 0

    def read(self, size: int) -> bytes:
        """At most `size` of the next bytes; nothing at the end."""
        data = self._source.read(size)
        self.position += len(data)
        if self.position > self._size:
            raise Invalid(f"the layer has more than the {self._size} bytes that the image says", hint=HINT)
        self._digest.update(data)
        return data

    def finish(self) -> None:
        while self.read(_DRAIN_BYTES):
            pass
        if self.position != self._size:
            raise Invalid(f"the layer has {self.position} bytes, not the {self._size} that the image says", hint=HINT)
        self._digest.compare("the layer")


class _Archive(io.RawIOBase):
    """The archive in a blob."""

    digest: Digest | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - there is no type for it before 3.12
        data = self.take(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def take(self, size: int) -> bytes:
        """At most `size` of the next bytes, which are added to the digest; nothing at the end."""
        data = self.produce(size)
        if self.digest is not None:
            self.digest.update(data)
        return data

    def produce(self, size: int) -> bytes:
        """At most `size` of the next bytes; nothing at the end."""
        raise NotImplementedError


class _Expanded(_Archive):
    """The output of a sequence of gzip members or zstd frames."""

    def __init__(self, blob: _Blob, head: bytes, *, codec: _Codec, limits: ExpansionLimits) -> None:
        self._blob = blob
        self._pending = head
        self._codec = codec
        self._limits = limits
        self._current: _Decompressor | None = None
        self._ended = False
        self._produced = 0
        self._holds_large = False

    def produce(self, size: int) -> bytes:
        data = b""
        while not (data or self._ended):
            data = self._step(size)
        self._produced += len(data)
        if self._produced > self._limits.free_bytes + self._limits.ratio * self._blob.position:
            raise Invalid(f"the layer expands to more than {self._limits.ratio} times its size", hint=HINT)
        return data

    def _step(self, size: int) -> bytes:
        """Feed the decompressor, which may not produce anything yet."""
        if self._current is None and not self._start():
            return b""
        current = self._current
        assert current is not None
        wants_input = not self._pending and _wants_input(current)
        if wants_input:
            self._pending = self._blob.read(_INPUT_BYTES)
        at_end = wants_input and not self._pending
        try:
            data = current.decompress(self._pending, size)
        except self._codec.error as error:
            raise Invalid(f"the layer is damaged: {printable(str(error), limit=100)}", hint=HINT) from error
        if current.eof:
            self._pending, self._current = current.unused_data, None
            self._let_others()
        elif at_end and not data:
            raise Invalid("the layer is cut short", hint=HINT)
        else:
            self._pending = _unconsumed(current)
        return data

    def _start(self) -> bool:
        """Begin the next member or frame; False at the end. After the last one there may be zeros, as tapes have."""
        while len(self._pending) < _ZSTD_HEAD_BYTES and (more := self._blob.read(_INPUT_BYTES)):
            self._pending += more
        if self._codec.begins(self._pending):
            if self._codec.history_bytes(self._pending) > _SMALL_HISTORY_BYTES:
                _LARGE_HISTORY.acquire()
                self._holds_large = True
            self._current = self._codec.make()
            return True
        self._ended = True
        while self._pending:
            if self._pending.count(0) != len(self._pending):
                raise Invalid("the layer continues after its compressed data", hint=HINT)
            self._pending = self._blob.read(_DRAIN_BYTES)
        return False

    def close(self) -> None:
        self._current = None
        self._let_others()
        super().close()

    def _let_others(self) -> None:
        if self._holds_large:
            self._holds_large = False
            _LARGE_HISTORY.release()


class _Plain(_Archive):
    """A blob that is not compressed, whose first bytes were already read."""

    def __init__(self, blob: _Blob, head: bytes) -> None:
        self._blob = blob
        self._head = head

    def produce(self, size: int) -> bytes:
        if not self._head:
            return self._blob.read(size)
        data, self._head = self._head[:size], self._head[size:]
        return data


def _open_archive(blob: _Blob, limits: ExpansionLimits) -> _Archive:
    head = b""
    while len(head) < len(_ZSTD) and (more := blob.read(_INPUT_BYTES)):
        head += more
    for codec in (_Gzip, _Zstd):
        if codec.begins(head):
            return _Expanded(blob, head, codec=codec(), limits=limits)
    return _Plain(blob, head)


def _wants_input(current: _Decompressor) -> bool:
    """zstd keeps what it has not decompressed yet; zlib gives it back."""
    return bool(getattr(current, "needs_input", True))


def _unconsumed(current: _Decompressor) -> bytes:
    return bytes(getattr(current, "unconsumed_tail", b""))
