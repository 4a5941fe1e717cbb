"""Files of the user's that are images: what they were when they were registered, and what is noticed of a change."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from banger.core.errors import BangerError, Failed, Invalid, NotFound, Unsupported
from banger.core.platforms import host_architecture
from banger.core.threads import Stopped
from banger.image.registered import check_unchanged, compare, decode_host_file, look_at
from banger.image.registering import promote, register
from banger.image.store import Image, ImageStore

EXT4 = bytes(1080) + b"\x53\xef" + bytes(100)
MIB = 1 << 20


def nothing(*_: object) -> None:
    pass


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "rootfs.ext4"
    path.write_bytes(EXT4 + b"x" * MIB)
    os.truncate(path, 64 * MIB)
    return path


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return ImageStore(tmp_path / "store")


def add(store: ImageStore, path: Path, *, init: str | None = None, check: Callable[[], None] = nothing) -> Image:
    return register(store, "mine", path, init=init, architecture=host_architecture(), report=nothing, check=check)


def test_what_is_kept_is_read_again(image: Path) -> None:
    told: list[tuple[int, int]] = []
    file, kind = look_at(image, tell=lambda done, total: told.append((done, total)))
    assert kind == "ext4"
    assert told[-1] == (64 * MIB, 64 * MIB)
    assert decode_host_file(file.encode()) == file
    check_unchanged(file)
    compare(file)


def test_a_byte_that_changes_while_it_is_read(image: Path) -> None:
    def write(done: int, _total: int) -> None:
        if done == MIB:
            with image.open("r+b") as opened:
                opened.write(b"changed")

    with pytest.raises(Failed, match="has changed"):
        look_at(image, tell=write)


def test_a_file_that_grows_for_ever_is_not_read_for_ever(image: Path) -> None:
    reads = 0

    def grow(_done: int, _total: int) -> None:
        nonlocal reads
        reads += 1
        os.truncate(image, image.stat().st_size + 4 * MIB)

    with pytest.raises(Failed, match="has changed"):
        look_at(image, tell=grow)
    assert reads <= 66


def test_what_cannot_be_registered(tmp_path: Path, image: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "short").write_bytes(EXT4[:1081])
    cases: list[tuple[Path, type[BangerError]]] = [
        (tmp_path / "pipe", Invalid),
        (tmp_path, Invalid),
        (Path("/dev/null"), Invalid),
        (tmp_path / "none", NotFound),
        (image / "below", NotFound),
        (tmp_path / "short", Unsupported),
    ]
    for path, error in cases:
        with pytest.raises(error) as caught:
            look_at(path, tell=nothing)
        assert caught.value.hint


def test_nothing_is_left_of_what_was_given_up(store: ImageStore, image: Path, tmp_path: Path) -> None:
    def stop() -> None:
        raise Stopped("given up")

    with pytest.raises(Stopped):
        add(store, image, check=stop)
    assert store.list() == []
    registered = add(store, image)
    with pytest.raises(Stopped):
        promote(store, registered, report=nothing, check=stop)
    assert store.list() == [registered]
    assert list((tmp_path / "store" / "drafts").iterdir()) == []


def test_a_copy_has_the_holes_too_and_what_was_said_of_the_name(store: ImageStore, image: Path) -> None:
    registered = store.set_machine(add(store, image), kernel="mine", disk_bytes=5 << 30)
    promoted = promote(store, registered, report=nothing, check=nothing)
    assert promoted.rootfs.read_bytes() == image.read_bytes()
    assert promoted.rootfs.stat().st_blocks * 512 < 8 * MIB
    assert (promoted.kernel, promoted.disk_bytes, promoted.file) == ("mine", 5 << 30, None)
    store.verify(promoted)


def test_a_copy_of_something_else_is_refused(store: ImageStore, image: Path) -> None:
    registered = add(store, image)
    assert registered.file is not None
    status = image.stat()
    with image.open("r+b") as opened:
        opened.write(b"changed")
    os.utime(image, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(Failed, match="has changed"):
        promote(store, registered, report=nothing, check=nothing)
    with pytest.raises(Failed):
        store.verify(registered)
    assert store.list() == [registered]


def test_of_two_files_with_one_content_the_one_that_is_there_is_used(store: ImageStore, image: Path) -> None:
    registered = add(store, image)
    copy = image.with_name("copy")
    copy.write_bytes(image.read_bytes())
    register(store, "other", copy, init=None, architecture=host_architecture(), report=nothing, check=nothing)
    assert store.read(registered.digest).rootfs == image
    image.unlink()
    assert store.read(registered.digest).rootfs == copy
    copy.unlink()
    gone = store.read(registered.digest).file
    assert gone is not None
    with pytest.raises(NotFound):
        check_unchanged(gone)
