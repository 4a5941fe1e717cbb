"""The cache of blobs: nothing wrong gets in, nothing is fetched twice, nothing goes while it is read."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from banger.core.errors import Failed, Invalid, Unavailable, WrongState
from banger.image.blob_cache import BlobCache, Partial
from banger.image.manifest import Descriptor

CONTENT = bytes(range(256)) * 10_000


def blob_of(content: bytes, *, algorithm: str = "sha256") -> Descriptor:
    digest = f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"
    return Descriptor(media_type="", digest=digest, size=len(content))


BLOB = blob_of(CONTENT)


def sending(content: bytes) -> Callable[[Partial], Awaitable[None]]:
    async def send(partial: Partial) -> None:
        for start in range(partial.offset, len(content), 65_536):
            await partial.write(content[start : start + 65_536])

    return send


class Room:
    """Has room or not; knows what it was asked."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.is_full = False

    def check(self, _path: Path, *, needed_bytes: int) -> None:
        self.asked.append(needed_bytes)
        if self.is_full:
            raise Unavailable("full", hint="free some")


@pytest.fixture
def room() -> Room:
    return Room()


@pytest.fixture
def cache(tmp_path: Path, room: Room) -> BlobCache:
    return BlobCache(tmp_path / "blobs", check_space=room.check)


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
async def test_a_blob_comes_once(cache: BlobCache, tmp_path: Path, algorithm: str) -> None:
    blob = blob_of(CONTENT, algorithm=algorithm)
    told: list[int] = []
    path = await cache.fetch(blob, sending(CONTENT), progressed=told.append)
    assert path == tmp_path / "blobs" / "blobs" / algorithm / blob.digest.partition(":")[2] == cache.find(blob)
    assert path.read_bytes() == CONTENT
    assert path.stat().st_mode & 0o777 == 0o400
    assert told == sorted(told)
    assert (told[0], told[-1]) == (0, len(CONTENT))
    assert list((tmp_path / "blobs" / "partial").iterdir()) == []

    async def never(_partial: Partial) -> None:
        raise AssertionError

    assert await cache.fetch(blob, never) == path


@pytest.mark.parametrize("content", [CONTENT[:-1], CONTENT + b"x", bytes(len(CONTENT)), b""])
async def test_what_is_something_else_does_not_get_in(cache: BlobCache, content: bytes) -> None:
    with pytest.raises(Failed, match=f"not {BLOB.digest}"):
        await cache.fetch(BLOB, sending(content))
    assert cache.list() == []
    assert cache.find(BLOB) is None


async def test_what_came_before_a_failure_stays(cache: BlobCache, tmp_path: Path) -> None:
    async def fail(partial: Partial) -> None:
        await partial.write(CONTENT[:1000])
        raise Failed("it broke off", hint="x")

    with pytest.raises(Failed, match="it broke off"):
        await cache.fetch(BLOB, fail)
    (left,) = cache.list()
    assert (left.digest, left.size_bytes, left.is_partial) == (BLOB.digest, 1000, True)
    offsets: list[int] = []

    async def go_on(partial: Partial) -> None:
        offsets.append(partial.offset)
        await sending(CONTENT)(partial)

    path = await cache.fetch(BLOB, go_on)
    assert (offsets, path.read_bytes()) == ([1000], CONTENT)


async def test_a_partial_that_is_a_link_is_not_followed(cache: BlobCache, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("x")
    partial = tmp_path / "blobs" / "partial" / BLOB.digest.replace(":", "-")
    partial.parent.mkdir(parents=True)
    partial.symlink_to(precious)
    with pytest.raises(Failed):
        await cache.fetch(BLOB, sending(CONTENT))
    assert precious.read_text() == "x"


async def test_many_at_once_download_once(cache: BlobCache) -> None:
    downloads = 0
    waited = []

    async def slow(partial: Partial) -> None:
        nonlocal downloads
        downloads += 1
        await asyncio.sleep(0.05)
        await sending(CONTENT)(partial)

    paths = await asyncio.gather(*(cache.fetch(BLOB, slow, waiting=lambda: waited.append(1)) for _ in range(10)))
    assert (downloads, len(set(paths)), len(waited)) == (1, 1, 9)


async def test_the_next_one_goes_on_when_the_first_gives_up(cache: BlobCache) -> None:
    begun = asyncio.Event()

    async def hang(partial: Partial) -> None:
        await partial.write(CONTENT[:5000])
        begun.set()
        await asyncio.Event().wait()

    first = asyncio.create_task(cache.fetch(BLOB, hang))
    await begun.wait()
    second = asyncio.create_task(cache.fetch(BLOB, sending(CONTENT)))
    await asyncio.sleep(0.1)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert (await second).read_bytes() == CONTENT


async def test_a_full_disk_is_said(cache: BlobCache) -> None:
    async def fill(_partial: Partial) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(Unavailable, match="no space left") as caught:
        await cache.fetch(BLOB, fill)
    assert caught.value.hint


async def test_space_is_asked_for_what_is_missing(cache: BlobCache, room: Room, tmp_path: Path) -> None:
    other = blob_of(b"other")
    cache.check_space([BLOB, other, BLOB])
    assert room.asked == [len(CONTENT) + 5]
    partial = tmp_path / "blobs" / "partial" / BLOB.digest.replace(":", "-")
    partial.parent.mkdir(parents=True)
    partial.write_bytes(CONTENT[:1000])
    cache.check_space([BLOB, other])
    assert room.asked[1:] == [len(CONTENT) + 5 - 1000]
    await cache.fetch(BLOB, sending(CONTENT))
    room.is_full = True
    cache.check_space([BLOB])
    assert len(room.asked) == 2
    with pytest.raises(Unavailable):
        cache.check_space([BLOB, other])


async def test_small_blobs_are_checked_again_when_they_are_read(cache: BlobCache) -> None:
    small = b"{}"
    digest = blob_of(small).digest
    assert cache.read(digest) is None
    await cache.put(digest, small)
    assert cache.read(digest) == small
    path = cache.find(blob_of(small))
    assert path is not None
    path.chmod(0o600)
    path.write_bytes(b"[]")
    assert cache.read(digest) is None
    assert cache.find(blob_of(small)) is None
    with pytest.raises(Failed):
        await cache.put(digest, b"[]")


async def test_a_blob_of_another_size_is_fetched_anew(cache: BlobCache) -> None:
    path = await cache.fetch(BLOB, sending(CONTENT))
    path.chmod(0o600)
    path.write_bytes(b"cut off")
    assert cache.find(BLOB) is None
    assert (await cache.fetch(BLOB, sending(CONTENT))).read_bytes() == CONTENT


async def test_removing(cache: BlobCache, tmp_path: Path) -> None:
    assert cache.list() == []
    other = blob_of(b"other")
    await cache.fetch(BLOB, sending(CONTENT))
    await cache.fetch(other, sending(b"other"))
    os.utime(tmp_path / "blobs" / "blobs" / "sha256" / BLOB.digest[7:], (1, 1))
    assert [(blob.digest, blob.size_bytes) for blob in cache.list()] == [(BLOB.digest, BLOB.size), (other.digest, 5)]
    assert cache.list()[0].used_at_s == 1
    cache.find(BLOB)
    assert [blob.digest for blob in cache.list()] == [other.digest, BLOB.digest]
    assert await cache.remove(cache.list()[:1]) == 5
    assert await cache.remove(cache.list()) == BLOB.size
    assert cache.list() == []
    assert [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()] == [tmp_path / "blobs" / "in-use"]


async def test_nothing_is_removed_while_it_is_used(cache: BlobCache) -> None:
    await cache.fetch(BLOB, sending(CONTENT))
    async with cache.in_use(), cache.in_use():
        with pytest.raises(WrongState, match="is being pulled right now") as caught:
            await cache.remove(cache.list())
        assert caught.value.hint
    assert cache.find(BLOB) is not None
    await cache.remove(cache.list())
    assert cache.find(BLOB) is None


@pytest.mark.parametrize("digest", ["sha256:../../x", "", "sha256:" + "A" * 64, "x", "sha256-" + "a" * 64])
async def test_only_digests_become_names_of_files(cache: BlobCache, tmp_path: Path, digest: str) -> None:
    with pytest.raises(Invalid):
        await cache.fetch(Descriptor(media_type="", digest=digest, size=1), sending(b"x"))
    with pytest.raises(Invalid):
        cache.read(digest)
    assert list(tmp_path.rglob("x")) == []


async def test_strange_files_are_left_alone(cache: BlobCache, tmp_path: Path) -> None:
    for name in ("partial/x", "blobs/sha256/x.tmp", "blobs/md5/" + "a" * 32):
        path = tmp_path / "blobs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    assert cache.list() == []
