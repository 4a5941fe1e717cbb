"""Directories of files that never change, named by what they hold; and names that point at them.

sha256/<hex>/manifest.json and the files it lists
names/<name>.json            {"digest": "sha256:<hex>"}
drafts/                      what is being made; removed when its maker is gone
locks/<name>                 held while a name is being made
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from banger.core.errors import Failed, NotFound
from banger.core.files import make_private_directory, sync_directory, write_durably

_CHUNK_BYTES: Final = 1 << 20
_LOCK_RETRY_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class Content:
    """One entry: its digest, its directory, what its manifest says, and the size of its files in bytes."""

    digest: str
    path: Path
    manifest: Mapping[str, Any]
    size_bytes: int


class ContentStore:
    """A store below one directory."""

    def __init__(self, root: Path, *, kind: str) -> None:
        self._root = root
        self._kind = kind
        self._locks: dict[str, asyncio.Lock] = {}

    @contextmanager
    def draft(self) -> Iterator[Path]:
        """An empty directory to make content in; what is not published from it goes."""
        drafts = self._root / "drafts"
        make_private_directory(drafts)
        path = drafts / secrets.token_hex(8)
        path.mkdir(mode=0o700)
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)

    def publish(self, draft: Path, *, name: str, files: Sequence[str], manifest: Mapping[str, Any]) -> Content:
        """Make `files` of a draft an entry, and `name` point at it. The digest covers files and manifest.

        `created_at_s` in the manifest is kept out of the digest, so that the same content has the same name.
        """
        digests = {file: digest_file(draft / file) for file in sorted(files)}
        body = {**manifest, "files": digests}
        identity = {key: value for key, value in body.items() if key != "created_at_s"}
        hexdigest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
        target = self._root / "sha256" / hexdigest
        make_private_directory(target.parent)
        if not target.exists():
            publishing = draft / "publish"
            publishing.mkdir(mode=0o700)
            for file in files:
                place = publishing / file
                make_private_directory(place.parent)
                (draft / file).rename(place)
                with place.open("rb") as opened:
                    os.fsync(opened.fileno())
                place.chmod(0o400)
            write_durably(publishing / "manifest.json", json.dumps(body, indent=2).encode())
            publishing.rename(target)
            sync_directory(target.parent)
        make_private_directory(self._root / "names")
        digest = f"sha256:{hexdigest}"
        write_durably(self._root / "names" / f"{name}.json", json.dumps({"digest": digest}).encode())
        return self.read(digest)

    def find(self, name: str) -> Content | None:
        """What `name` points at, or None."""
        try:
            pointer = json.loads((self._root / "names" / f"{name}.json").read_bytes())
            return self.read(str(pointer["digest"]))
        except (FileNotFoundError, NotFound):
            return None

    def read(self, digest: str) -> Content:
        """The entry of that digest. Raises `NotFound`."""
        path = self._root / "sha256" / digest.removeprefix("sha256:")
        try:
            manifest = json.loads((path / "manifest.json").read_bytes())
        except FileNotFoundError as error:
            raise NotFound(
                f"the {self._kind} {digest[:19]} is gone from the store", hint="pull it again with `banger image pull`"
            ) from error
        size_bytes = sum((path / file).stat().st_size for file in manifest["files"])
        return Content(digest, path, manifest, size_bytes)

    def verify(self, content: Content) -> None:
        """Read every file and compare. Raises `Failed` naming the file and both digests."""
        for file, expected in content.manifest["files"].items():
            found = digest_file(content.path / file)
            if found != expected:
                raise Failed(
                    f"{file} of the {self._kind} {content.digest[:19]} is damaged: it is {found}, not {expected}",
                    hint="remove it from the store and pull it again",
                )

    def list(self) -> list[tuple[str, Content]]:
        """Names and what they point at, by name."""
        names = self._root / "names"
        found: list[tuple[str, Content]] = []
        for path in sorted(names.glob("*.json")) if names.is_dir() else ():
            content = self.find(path.stem)
            if content is not None:
                found.append((path.stem, content))
        return found

    @asynccontextmanager
    async def making(self, name: str) -> AsyncIterator[None]:
        """Held while `name` is made: one maker at a time in this process and among processes."""
        async with self._locks.setdefault(name, asyncio.Lock()):
            make_private_directory(self._root / "locks")
            descriptor = os.open(self._root / "locks" / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                while True:
                    try:
                        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        break
                    except BlockingIOError:
                        await asyncio.sleep(_LOCK_RETRY_S)
                yield
            finally:
                os.close(descriptor)

    def remove_drafts(self) -> None:
        """Remove what dead makers left. Only for the one daemon of this store, before it makes anything."""
        with suppress(FileNotFoundError):
            for path in (self._root / "drafts").iterdir():
                shutil.rmtree(path, ignore_errors=True)


def digest_file(path: Path) -> str:
    """`sha256:` and the hex digest of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while data := file.read(_CHUNK_BYTES):
            digest.update(data)
    return f"sha256:{digest.hexdigest()}"
