"""What layers make, by another road than `banger.disk.layering`: a dictionary of paths that each entry changes.

Slow, and simple enough to be compared with the specification line by line. It takes entries, not archives.
"""

from __future__ import annotations

from dataclasses import dataclass, field

FOLLOWED_AT_MOST = 40
Path = tuple[bytes, ...]


@dataclass(frozen=True)
class Entry:
    """One entry of a layer. `kind` is file, directory, symlink, fifo, device or link (a hard one)."""

    kind: str
    name: bytes
    content: bytes = b""  # of a file; the target of a link of either kind
    mode: int = 0
    uid: int = 0
    mtime: int = 0
    xattrs: tuple[tuple[bytes, bytes], ...] = ()


@dataclass(eq=False)
class Thing:
    """An inode; that of two names is one object."""

    kind: str
    content: bytes = b""
    mode: int = 0o755
    uid: int = 0
    mtime: int = 0
    xattrs: tuple[tuple[bytes, bytes], ...] = ()

    def take(self, entry: Entry) -> None:
        self.mode, self.uid, self.mtime, self.xattrs = entry.mode, entry.uid, entry.mtime, entry.xattrs


class Refusal(Exception):
    """The stack is refused at this entry."""

    def __init__(self, entry: Entry) -> None:
        super().__init__(entry.name)
        self.entry = entry


class _No(Exception):
    pass


@dataclass
class Model:
    things: dict[Path, Thing] = field(default_factory=lambda: {(): Thing("directory")})
    put: set[Path] = field(default_factory=set)  # by this layer
    passed: set[Path] = field(default_factory=set)
    followed: set[Path] = field(default_factory=set)

    def apply(self, layer: list[Entry]) -> None:
        """Raises `Refusal`."""
        self.put, self.passed, self.followed = set(), set(), set()
        for entry in layer:
            try:
                self._take(entry)
            except _No:
                raise Refusal(entry) from None

    def _take(self, entry: Entry) -> None:
        path = split(entry.name)
        if not path:
            if entry.kind != "directory":
                raise _No
            self.things[()].take(entry)
            return
        parent, name = path[:-1], path[-1]
        if any(part.startswith(b".wh.") for part in parent):
            raise _No
        if name.startswith(b".wh."):
            self._white_out(parent, name)
            return
        target = split(entry.content) if entry.kind == "link" else ()
        place = (*self._enter(parent), name)
        present = self.things.get(place)
        if entry.kind == "directory" and present is not None and present.kind == "directory":
            present.take(entry)
            self.put.add(place)
            return
        if entry.kind == "link":
            if present is not None and present.kind == "directory":
                self._remove(place)
            source = (*self._resolve(target[:-1]), *target[-1:])
            thing = self.things.get(source)
            if thing is None or thing.kind == "directory" or source == place:
                raise _No
        else:
            thing = Thing(entry.kind, entry.content)
            thing.take(entry)
            if thing.kind == "symlink":
                thing.mode = 0o777
        if place in self.things:
            self._remove(place)
        self.things[place] = thing
        self.put.add(place)

    def _resolve(self, path: Path) -> Path:
        """Where a directory is, as `filepath-securejoin` says it; it may not exist."""
        here: Path = ()
        ahead = list(path)
        followed = 0
        while ahead:
            part = ahead.pop(0)
            if part == b"..":
                here = here[:-1]
                continue
            thing = self.things.get((*here, part))
            if thing is None or thing.kind == "directory":
                here = (*here, part)
            elif thing.kind == "symlink":
                followed += 1
                if followed > FOLLOWED_AT_MOST:
                    raise _No
                self.followed.add((*here, part))
                if thing.content.startswith(b"/"):
                    here = ()
                ahead = [part for part in thing.content.split(b"/") if part not in (b"", b".")] + ahead
            else:
                raise _No
        return here

    def _enter(self, path: Path) -> Path:
        place = self._resolve(path)
        for depth in range(1, len(place) + 1):
            self.things.setdefault(place[:depth], Thing("directory"))
            if place[:depth] not in self.put:
                self.passed.add(place[:depth])
        return place

    def _white_out(self, parent: Path, name: bytes) -> None:
        hidden = name.removeprefix(b".wh.")
        if name != b".wh..wh..opq" and (hidden in (b"", b".", b"..") or hidden.startswith(b".wh.")):
            raise _No
        try:
            place = self._resolve(parent)
        except _No:
            return
        depth = len(place) + 1
        for path in sorted(self.things):
            if len(path) < depth or path[: len(place)] != place or path not in self.things:
                continue
            if name != b".wh..wh..opq" and path[len(place)] != hidden:
                continue
            if path not in self.put | self.passed:
                gone = [other for other in self.things if other[: len(path)] == path]
                if any(other in self.followed for other in gone):
                    raise _No
                self._remove(path)
            elif path not in self.put:
                self.things[path].take(Entry("directory", b"", mode=0o755))

    def _remove(self, path: Path) -> None:
        for gone in [other for other in self.things if other[: len(path)] == path]:
            del self.things[gone]
            for marks in (self.put, self.passed, self.followed):
                marks.discard(gone)


def split(name: bytes) -> Path:
    parts = tuple(part for part in name.split(b"/") if part not in (b"", b"."))
    if b".." in parts:
        raise _No
    return parts
