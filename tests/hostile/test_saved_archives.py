"""What guests that lie send instead of an archive of their root: refused in one sentence, and no half image is left."""

from __future__ import annotations

import asyncio
import io
import os
import tarfile
from collections.abc import AsyncGenerator, Callable, Iterator
from itertools import count, repeat
from pathlib import Path
from typing import BinaryIO

import pytest

from banger.core.errors import BangerError, Failed, Invalid, Unavailable
from banger.core.feeding import run_fed
from banger.core.provenance import Provenance
from banger.daemon.operations.saving import bounded
from banger.disk.rootfs import ArchiveTree
from banger.image.run_config import RunConfig
from banger.image.saving import SavedRoot, make_saved_image
from banger.image.store import Image, ImageStore

MIB = 1 << 20
LIMIT = 8 * MIB
SAVED = SavedRoot(
    architecture="x86_64",
    environment={},
    run=RunConfig(),
    source="saved",
    provenance=Provenance(kind="vm"),
    hint="remove it",
)
END = bytes(1024)


def member(name: str, content: bytes = b"", **fields: object) -> bytes:
    """A member of an archive, whose header may say what it likes."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for field, value in fields.items():
        setattr(info, field, value)
    header = info.tobuf(tarfile.GNU_FORMAT, errors="surrogateescape")
    return header + content + bytes(-len(content) % 512)


def many_entries() -> Iterator[bytes]:
    """Directories, each of another name, all of which would have to be kept."""
    blank = member("0000000", type=tarfile.DIRTYPE)
    start, rest = blank[:148], blank[156:]
    for first in count(0, 1000):
        pieces = []
        for number in range(first, first + 1000):
            header = b"%07d" % number + start[7:]
            total = sum(header) + 8 * 32 + sum(rest)
            pieces.append(header + b"%06o\0 " % total + rest)
        yield b"".join(pieces)


def endless_file(size: int = 32 << 30) -> Iterator[bytes]:
    yield member("file", size=size)
    yield from repeat(bytes(MIB))


def one_directory() -> Iterator[bytes]:
    yield from repeat(member("same", type=tarfile.DIRTYPE) * 1000)


def truncated() -> Iterator[bytes]:
    yield member("first", b"whole")
    yield member("file", b"x" * 5000)[:3000]


LIES: dict[str, Callable[[], Iterator[bytes]]] = {
    "nothing": lambda: iter(()),
    "noise": lambda: iter([os.urandom(5000)]),
    "truncated": truncated,
    "no end": lambda: iter([member("file", b"x")]),
    "an endless file": endless_file,
    "a file larger than every disk": lambda: endless_file(1 << 60),
    "endless directories": many_entries,
    "one directory for ever": one_directory,
    "endless noise": lambda: (os.urandom(MIB) for _ in repeat(None)),
    "endless zeros": lambda: repeat(bytes(MIB)),
    "a size that is too large": lambda: iter([member("file", b"x" * 100, size=5000), END]),
    "a size below zero": lambda: iter([member("file", size=-1), END]),
    "a name that leads up": lambda: iter([member("../escape", b"x"), END]),
    "a name that leads up later": lambda: iter([member("a/../../escape", b"x"), END]),
    "below a symbolic link": lambda: iter(
        [member("way", type=tarfile.SYMTYPE, linkname="/etc"), member("way/passwd", b"x"), END]
    ),
    "a hard link to nothing": lambda: iter([member("link", type=tarfile.LNKTYPE, linkname="../../etc/passwd"), END]),
    "a member below a file": lambda: iter([member("file", b"x"), member("file/below", b"x"), END]),
    "a long name": lambda: iter([member("/".join(["n" * 255] * 20), b"x"), END]),
    "deeper than can be": lambda: iter([member("d/" * 300, type=tarfile.DIRTYPE), END]),
    "an unknown kind": lambda: iter([member("file", type=b"Z"), END]),
}


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return ImageStore(tmp_path / "images")


async def chunks(lie: Iterator[bytes]) -> AsyncGenerator[bytes, None]:
    for piece in lie:
        await asyncio.sleep(0)
        yield piece


async def save(
    store: ImageStore, lie: Iterator[bytes], *, limit: int = LIMIT, check: Callable[[], None] = lambda: None
) -> Image:
    def work(source: BinaryIO, stop: Callable[[], None]) -> Image:
        return make_saved_image(store, "saved", source, SAVED, read_rootfs=ArchiveTree, check=stop)

    return await run_fed(bounded(chunks(lie), limit_bytes=limit, check=check), work)


def check_nothing_left(store: ImageStore, tmp_path: Path) -> None:
    assert store.list() == []
    assert list((tmp_path / "images" / "drafts").iterdir()) == []
    assert not (tmp_path / "escape").exists()


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES.keys())
async def test_a_lie(store: ImageStore, tmp_path: Path, lie: Callable[[], Iterator[bytes]]) -> None:
    with pytest.raises(BangerError) as refused:
        await save(store, lie())
    assert isinstance(refused.value, (Invalid, Failed))
    assert refused.value.summary.isprintable()
    assert refused.value.hint
    check_nothing_left(store, tmp_path)


async def test_an_absolute_name_is_below_the_root(store: ImageStore, tmp_path: Path) -> None:
    image = await save(store, iter([member("/etc/passwd", b"only here"), END]))
    assert b"only here" in image.rootfs.read_bytes()
    assert not (tmp_path / "etc").exists()


async def test_a_host_whose_disk_becomes_full(store: ImageStore, tmp_path: Path) -> None:
    def check() -> None:
        raise Unavailable("only 1 GiB is free", hint="free some space")

    with pytest.raises(Unavailable, match="is free"):
        await save(store, endless_file(), limit=1 << 40, check=check)
    check_nothing_left(store, tmp_path)


async def test_a_save_that_is_given_up_among_lies(store: ImageStore, tmp_path: Path) -> None:
    saving = asyncio.create_task(save(store, endless_file(), limit=1 << 40))
    while not saving.done() and not list((tmp_path / "images").glob("drafts/*")):
        await asyncio.sleep(0.01)
    saving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await saving
    check_nothing_left(store, tmp_path)


def test_the_archive_of_an_honest_guest_fits() -> None:
    """The reader of archives takes what the agent's own tests show; here, that a member of ours is one."""
    with tarfile.open(fileobj=io.BytesIO(member("a", b"x") + END)) as archive:
        assert archive.getnames() == ["a"]
