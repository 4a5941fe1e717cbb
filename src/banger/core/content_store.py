"""Directories of files that never change, named by the digest of their content, and names that point at them.

sha256/<hex>/manifest.json and the files it lists
names/<name>.json            {"digest": "sha256:<hex>"}, and what is true of the name rather than of the content
names/<architecture>/        the same for what this computer's processors do not run: a name may have one of each
drafts/                      content being made; each is locked by its maker, and removed when its maker is gone
locks/<name>                 held while a name is being made
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Generic, Protocol, TypeVar

from banger.core.errors import Failed, Invalid, NotFound, Unsupported
from banger.core.files import make_private_directory, sync_directory, write_durably
from banger.core.locks import exclusive_lock, is_locked, try_lock
from banger.core.platforms import ARCHITECTURES, host_architecture
from banger.core.untrusted import printable

_CHUNK_BYTES: Final = 1 << 20
_MAKING_DEADLINE_S: Final = 7200.0
# Members that may differ between the names of the same content. They are not in the digest.
OF_NAME: Final = frozenset(("name", "created_at_s", "source", "recipe", "provenance", "oci", "machine", "file"))
_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,61}[a-z0-9])?")
_DIGEST: Final = re.compile(r"sha256:([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Content:
    """One entry: its digest, its directory, what its manifest says, and the size of its files in bytes."""

    digest: str
    path: Path
    manifest: Mapping[str, Any]
    size_bytes: int


class ContentStore:
    """A store below one directory. `kind` is what its entries are called in errors.

    A name means one entry for each architecture that manifests speak of. What is asked for without one is `native`,
    else whatever there is.
    """

    def __init__(self, root: Path, *, kind: str, native: str) -> None:
        self._root = root
        self._kind = kind
        self._native = native

    @contextmanager
    def draft(self) -> Iterator[Path]:
        """An empty directory to make content in. Everything that is not published from it is removed."""
        drafts = self._root / "drafts"
        make_private_directory(drafts)
        path, descriptor = make_locked_directory(drafts)
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)
            os.close(descriptor)

    def publish(
        self,
        draft: Path,
        *,
        name: str,
        files: Sequence[str],
        manifest: Mapping[str, Any],
        digests: Mapping[str, str] = MappingProxyType({}),
    ) -> Content:
        """Make `files` of a draft an entry, and `name` for the manifest's `architecture` point at it.

        `digests` are those that writers computed while writing; other files are read for theirs.

        The digest covers the files and the manifest but for `OF_NAME`, so that the same content has the same digest
        whoever made it, when, and out of what.
        """
        pointer = self._pointer(name, self._architecture(manifest))
        body = {**manifest, "files": {file: digests.get(file) or digest_file(draft / file) for file in sorted(files)}}
        digest = _identify(body)
        hexdigest = digest.removeprefix("sha256:")
        target = self._root / "sha256" / hexdigest
        make_private_directory(target.parent)
        if not target.exists():
            publishing = draft / "publish"
            _arrange(draft, publishing, files)
            write_durably(publishing / "manifest.json", json.dumps(body, indent=2).encode(), mode=0o400)
            try:
                publishing.rename(target)
            except OSError:
                if not target.exists():  # else somebody else was quicker with the same content
                    raise
            sync_directory(target.parent)
        make_private_directory(pointer.parent)
        of_name = {key: value for key, value in manifest.items() if key in OF_NAME}
        write_durably(pointer, json.dumps({**of_name, "digest": digest}).encode())
        return self._read(digest, of_name)

    def annotate(self, name: str, architecture: str, said: Mapping[str, Any]) -> Content:
        """Set more keys of a name, all of them in `OF_NAME`. Raises `NotFound`."""
        content = self.find(name, architecture)
        if content is None:
            raise NotFound(
                f"there is no {self._kind} named {ascii(name)[1:-1]}",
                hint=f"`banger {self._kind} list` shows those that are here",
            )
        of_name = {key: value for key, value in {**content.manifest, **said}.items() if key in OF_NAME}
        pointer = self._pointer(name, architecture)
        write_durably(pointer, json.dumps({**of_name, "digest": content.digest}).encode())
        return self._read(content.digest, of_name)

    def find(self, name: str, architecture: str | None = None) -> Content | None:
        """What `name` points at; None if nothing does, also for a name that no entry can have."""
        for place in self._places() if architecture is None else (architecture,):
            with suppress(FileNotFoundError, NotFound, Invalid, Failed, ValueError, KeyError, TypeError):
                of_name = dict(json.loads(self._pointer(name, place).read_bytes()))
                digest = str(of_name.pop("digest"))
                return self._read(digest, {key: value for key, value in of_name.items() if key in OF_NAME})
        return None

    def read(self, digest: str) -> Content:
        """The entry of that digest, as its manifest described it when it was first published. Raises `NotFound`."""
        return self._read(digest, {})

    def _read(self, digest: str, of_name: Mapping[str, Any]) -> Content:
        match = _DIGEST.fullmatch(digest)
        path = self._root / "sha256" / (match[1] if match is not None else "none")
        try:
            manifest = json.loads((path / "manifest.json").read_bytes())
            size_bytes = sum((path / file).stat().st_size for file in manifest["files"])
        except (ValueError, KeyError, TypeError) as error:
            raise Failed(
                f"the manifest of the {self._kind} {digest[:19]} is damaged", hint="remove it and pull it again"
            ) from error
        except FileNotFoundError as error:
            raise NotFound(
                f"the {self._kind} {digest[:19]} is gone from the store", hint="pull it again with `banger image pull`"
            ) from error
        return Content(digest, path, {**manifest, **of_name}, size_bytes)

    def verify(self, content: Content) -> None:
        """Read every file and compare. Raises `Failed` naming the file and both digests."""
        identity = _identify(content.manifest)
        if identity != content.digest:
            raise Failed(
                f"manifest.json of the {self._kind} {content.digest[:19]} is damaged: it is {identity},"
                f" not {content.digest}",
                hint="remove it from the store and pull it again",
            )
        for file, expected in content.manifest["files"].items():
            found = digest_file(content.path / file)
            if found != expected:
                raise Failed(
                    f"{file} of the {self._kind} {content.digest[:19]} is damaged: it is {found}, not {expected}",
                    hint="remove it from the store and pull it again",
                )

    def list(self) -> list[tuple[str, Content]]:
        """Names and what they point at, sorted by name; the native architecture comes first."""
        found = (
            (path.stem, place, self.find(path.stem, place))
            for place in self._places()
            for path in self._names(place).glob("*.json")
        )
        return [(name, content) for name, _, content in sorted(found, key=lambda each: each[0]) if content is not None]

    def remove(self, name: str, *, in_use: frozenset[str], architecture: str | None = None) -> bool:
        """Remove a name, and its entry too unless another name or `in_use` (digests) still needs it.

        Returns whether the entry was removed. Raises `NotFound`.
        """
        content = self.find(name, architecture)
        if content is None:
            raise NotFound(
                f"there is no {self._kind} named {ascii(name)[1:-1]}",
                hint=f"`banger {self._kind} list` shows those that are here",
            )
        pointer = self._pointer(name, self._architecture(content.manifest))
        pointer.unlink()
        sync_directory(pointer.parent)
        if content.digest in in_use or any(other.digest == content.digest for _, other in self.list()):
            return False
        self.discard(content)
        return True

    def find_unnamed(self, *, in_use: frozenset[str], older_than_s: float) -> Sequence[Content]:
        """Entries from before `older_than_s` (seconds since the epoch) that no name and no digest of `in_use` needs."""
        named = {content.digest for _, content in self.list()} | in_use
        found: list[Content] = []
        for path in sorted((self._root / "sha256").glob("*")):
            digest = f"sha256:{path.name}"
            with suppress(NotFound, Failed, FileNotFoundError):
                if digest not in named and path.stat().st_mtime < older_than_s:
                    found.append(self.read(digest))
        return found

    def discard(self, content: Content) -> None:
        """Remove an entry that nothing needs."""
        with self.draft() as draft:
            content.path.rename(draft / "removed")

    @asynccontextmanager
    async def making(self, name: str, waiting: Callable[[], None] = lambda: None) -> AsyncIterator[None]:
        """A lock held while `name` is made: one maker at a time, in this process and among processes.

        `waiting` is called if another maker holds it.
        """
        self._pointer(name, self._native)
        make_private_directory(self._root / "locks")
        async with exclusive_lock(self._root / "locks" / name, deadline_s=_MAKING_DEADLINE_S, waiting=waiting):
            yield

    def abandoned_drafts(self) -> Sequence[Path]:
        """The drafts that dead makers left."""
        with suppress(FileNotFoundError):
            return [path for path in sorted((self._root / "drafts").iterdir()) if not is_locked(path)]
        return ()

    def remove_drafts(self) -> None:
        """Remove the drafts that dead makers left; those of living makers stay."""
        for path in self.abandoned_drafts():
            remove_unlocked_directory(path)

    def _pointer(self, name: str, architecture: str) -> Path:
        if _NAME.fullmatch(name) is None:
            raise Invalid(
                f"{ascii(name[:80])} cannot be the name of {self._kind} content",
                hint="use up to 63 lower-case letters, digits, dots and hyphens",
            )
        return self._names(architecture) / f"{name}.json"

    def _architecture(self, manifest: Mapping[str, Any]) -> str:
        architecture = str(manifest.get("architecture", self._native))
        if architecture not in self._places():
            raise Unsupported(f"{self._kind}s for {printable(architecture, limit=40)} cannot be used here")
        return architecture

    def _names(self, architecture: str) -> Path:
        return self._root / "names" / ("" if architecture == self._native else architecture)

    def _places(self) -> tuple[str, ...]:
        """Every architecture, the native one first."""
        return (self._native, *(other for other in ARCHITECTURES if other != self._native))


class HasDigest(Protocol):
    """The least that a store has to know of its items."""

    @property
    def digest(self) -> str: ...


Item = TypeVar("Item", bound=HasDigest)


class ItemStore(Generic[Item]):
    """A content store whose entries are seen as `Item`s. `view` makes one of a name and an entry."""

    def __init__(self, root: Path, *, kind: str, view: Callable[[str, Content], Item]) -> None:
        self.content = ContentStore(root, kind=kind, native=host_architecture())
        self._view = view

    def view(self, name: str, content: Content) -> Item:
        """The item made of an entry and a name."""
        return self._view(name, content)

    def find(self, name: str, architecture: str | None = None) -> Item | None:
        """The item of a name for an architecture; without one, this computer's own, else any."""
        content = self.content.find(name, architecture)
        return self._view(name, content) if content is not None else None

    def read(self, digest: str) -> Item:
        """The item of that digest. Raises `NotFound`."""
        content = self.content.read(digest)
        try:
            return self._view(str(content.manifest["name"]), content)
        except (KeyError, TypeError, ValueError) as error:
            raise Failed(
                f"the manifest of {digest[:19]} in the store is damaged", hint="remove it and pull it again"
            ) from error

    def verify(self, item: Item) -> None:
        """Read every file of an item and compare it with its digest. Raises `Failed`."""
        self.content.verify(self.content.read(item.digest))

    def remove(self, name: str, *, in_use: frozenset[str], architecture: str | None = None) -> bool:
        """Remove the name, and the item unless another name or a digest `in_use` needs it. Raises `NotFound`."""
        return self.content.remove(name, in_use=in_use, architecture=architecture)

    def list(self) -> list[Item]:
        return [self._view(name, content) for name, content in self.content.list()]


def _identify(manifest: Mapping[str, Any]) -> str:
    """The digest of an entry: over the digests of its files and all else that its manifest says of the content."""
    identity = {key: value for key, value in manifest.items() if key not in OF_NAME}
    return f"sha256:{hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()}"


def digest_file(path: Path) -> str:
    """`sha256:` and the hex digest of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while data := file.read(_CHUNK_BYTES):
            digest.update(data)
    return f"sha256:{digest.hexdigest()}"


def remove_unlocked_directory(path: Path) -> bool:
    """Remove a directory tree that nobody has locked, because its maker is gone. Returns whether it is gone now."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    try:
        if try_lock(descriptor):
            shutil.rmtree(path, ignore_errors=True)
        return not path.exists()
    finally:
        os.close(descriptor)


def make_locked_directory(parent: Path, *, prefix: str = "") -> tuple[Path, int]:
    """A new directory with an unguessable name, and the descriptor that holds its lock."""
    while True:
        path = parent / f"{prefix}{secrets.token_hex(8)}"
        path.mkdir(mode=0o700)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        # Until it is locked, others may take it for abandoned and remove it.
        if try_lock(descriptor) and path.exists():
            return path, descriptor
        os.close(descriptor)


def _arrange(draft: Path, target: Path, files: Sequence[str]) -> None:
    """Move files of a draft into a directory of their own, read-only and durable with their names."""
    target.mkdir(mode=0o700)
    directories = {target}
    for file in files:
        place = target / file
        make_private_directory(place.parent)
        directories.add(place.parent)
        (draft / file).rename(place)
        with place.open("rb") as opened:
            os.fsync(opened.fileno())
        place.chmod(0o400)
    for directory in directories:
        sync_directory(directory)
