"""The stream of records that carries a file tree into a guest or out of it. Pure; see docs/agent-protocol.md."""

from __future__ import annotations

import struct
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from banger.core.errors import Failed, Invalid
from banger.core.untrusted import printable

Kind = Literal["f", "d", "l", "h"]

PATH_LIMIT: Final = 4095
NAME_LIMIT: Final = 255
TREE_END: Final = b"."

_KINDS: Final[dict[int, Kind]] = {ord("f"): "f", ord("d"): "d", ord("l"): "l", ord("h"): "h"}
_RECORD: Final = struct.Struct("<BIIIqIQI")
RECORD_SIZE: Final = _RECORD.size


class MalformedTree(Failed):
    """A guest sent a tree that breaks the rules. Nothing of it is to be used."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"the guest sent a malformed file tree: {what}",
            hint="the guest may be damaged or hostile; look at it with `banger vm logs`",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeRecord:
    """One entry. `size` counts the content of a file, which follows it; `target` is what a link names.

    `mode` has permission bits, setuid, setgid and sticky. `h` is a hard link to an earlier path of the same tree.
    An empty path stands for the file itself that was asked for.
    """

    kind: Kind
    path: bytes
    mode: int
    size: int = 0
    target: bytes = b""
    uid: int = 0
    gid: int = 0
    mtime_s: int = 0
    mtime_ns: int = 0


def path_problem(path: bytes) -> str | None:
    """What is wrong with a path in a tree, or None: relative, no empty component, no `.` or `..`, no NUL."""
    if not path:
        return "an empty path"
    if len(path) > PATH_LIMIT:
        return f"a path of {len(path)} bytes"
    if b"\0" in path:
        return "a path with a NUL"
    for name in path.split(b"/"):
        if name in (b"", b".", b".."):
            return f"the path {printable(path, limit=200)}"
        if len(name) > NAME_LIMIT:
            return f"a name of {len(name)} bytes"
    return None


def record_problem(record: TreeRecord) -> str | None:
    """What is wrong with a record whose path is given, or None."""
    if problem := path_problem(record.path) or _attribute_problem(record):
        return problem
    if record.kind in "lh" and (not 0 < len(record.target) <= PATH_LIMIT or b"\0" in record.target):
        return "a link without a usable target"
    return path_problem(record.target) if record.kind == "h" else None


def _attribute_problem(record: TreeRecord) -> str | None:
    if record.mode & ~0o7777:
        return f"the mode {record.mode:o}"
    if not 0 <= record.mtime_ns < 1_000_000_000:
        return "a time with too many nanoseconds"
    return "a directory with content" if record.kind == "d" and record.size else None


def encode_record(record: TreeRecord) -> bytes:
    """The record with its target; a file's content is the caller's to send. Raises `Invalid`."""
    if problem := record_problem(record):
        raise Invalid(f"a tree cannot hold {problem}")
    size = len(record.target) if record.kind in "lh" else record.size
    head = _RECORD.pack(
        ord(record.kind),
        record.mode,
        record.uid,
        record.gid,
        record.mtime_s,
        record.mtime_ns,
        size,
        len(record.path),
    )
    return head + record.path + record.target


class TreeDecoder:
    """Feed bytes, get records and, after a file's record, its content in pieces. Holds less than one record."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._content_left = 0
        self._count = 0
        self._single = False
        self.finished = False

    def feed(self, data: bytes) -> Iterator[TreeRecord | bytes]:
        """What is complete now; take all of it before feeding again. Raises `MalformedTree`."""
        view = memoryview(data)
        position = 0
        while position < len(view):
            if self.finished:
                raise MalformedTree("it continues after its end")
            if self._content_left:
                piece = view[position : position + self._content_left]
                position += len(piece)
                self._content_left -= len(piece)
                yield bytes(piece)
                continue
            missing = self._missing()
            self._held += view[position : position + missing]
            position += missing
            if self._missing() == 0:
                record = self._take()
                if record is not None:
                    yield record

    def finish(self) -> None:
        """Say that no more bytes come. Raises `MalformedTree` before the end of the tree."""
        if not self.finished:
            raise MalformedTree("it is cut short")

    def _missing(self) -> int:
        """How many more bytes the record that is being read needs, as far as one can know; checks as it goes."""
        held = self._held
        if not held:
            return 1
        if held[0] == TREE_END[0]:
            return 0
        if held[0] not in _KINDS:
            raise MalformedTree(f"a record of kind {held[0]}")
        if len(held) < RECORD_SIZE:
            return RECORD_SIZE - len(held)
        size: int
        path_length: int
        *_, size, path_length = _RECORD.unpack_from(held)
        if path_length > PATH_LIMIT:
            raise MalformedTree(f"a path of {path_length} bytes")
        target_length = 0
        if _KINDS[held[0]] in "lh":
            if size > PATH_LIMIT:
                raise MalformedTree(f"a link's target of {size} bytes")
            target_length = size
        return RECORD_SIZE + path_length + target_length - len(held)

    def _take(self) -> TreeRecord | None:
        held = bytes(self._held)
        self._held.clear()
        if held == TREE_END:
            self.finished = True
            return None
        number, mode, uid, gid, mtime_s, mtime_ns, size, path_length = _RECORD.unpack_from(held)
        kind = _KINDS[number]
        path = held[RECORD_SIZE : RECORD_SIZE + path_length]
        record = TreeRecord(
            kind=kind,
            path=path,
            mode=mode,
            size=0 if kind in "lh" else size,
            target=held[RECORD_SIZE + path_length :],
            uid=uid,
            gid=gid,
            mtime_s=mtime_s,
            mtime_ns=mtime_ns,
        )
        self._check(record)
        self._count += 1
        self._content_left = record.size if kind == "f" else 0
        return record

    def _check(self, record: TreeRecord) -> None:
        if self._single:
            raise MalformedTree("more than the one file that was asked for")
        if not record.path and record.kind == "f" and self._count == 0:
            self._single = True
            problem = _attribute_problem(record)
        else:
            problem = record_problem(record)
        if problem:
            raise MalformedTree(problem)


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeCount:
    """How much a tree holds; `size_bytes` is the content of its files."""

    files: int = 0
    directories: int = 0
    links: int = 0
    size_bytes: int = 0


class TreeCounter:
    """Counts the records of a tree that passes through."""

    def __init__(self) -> None:
        self._decoder = TreeDecoder()
        self._kinds = {"f": 0, "d": 0, "l": 0, "h": 0}
        self._bytes = 0

    @property
    def total(self) -> TreeCount:
        """The counts so far."""
        return TreeCount(
            files=self._kinds["f"] + self._kinds["h"],
            directories=self._kinds["d"],
            links=self._kinds["l"],
            size_bytes=self._bytes,
        )

    async def count(self, pieces: AsyncIterable[bytes], moved: Callable[[int], None]) -> AsyncGenerator[bytes, None]:
        """The same pieces; `moved` is told the bytes of content so far."""
        async for piece in pieces:
            for event in self._decoder.feed(piece):
                if isinstance(event, TreeRecord):
                    self._kinds[event.kind] += 1
                else:
                    self._bytes += len(event)
            moved(self._bytes)
            yield piece
