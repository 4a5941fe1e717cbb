"""Layers that are unpacked beside each other are taken in their order, and nothing is left open or running."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import BinaryIO

import pytest
from tests.fakes.images import make_tar, pack, sha256

from banger.core.errors import Invalid
from banger.core.layers import Layer
from banger.core.threads import Stopped
from banger.disk.decompression import ExpansionLimits, LayerReader
from banger.disk.layers import read_layers
from banger.disk.paths import find, walk
from banger.disk.rootfs import ArchiveTree, LayerTree, open_nameless
from banger.disk.tree import Tree

LARGE = 1 << 20


def make_layer(archive: bytes, *, diff_id: str | None = None, opened: Callable[[], None] = lambda: None) -> Layer:
    """A layer that is compressed, and large all the same."""
    blob = pack(archive, "+gzip")

    def open_blob() -> BinaryIO:
        opened()
        return io.BytesIO(blob)

    return Layer(open_blob, "", sha256(blob), len(blob), diff_id or sha256(archive))


def make_large(number: int, opened: Callable[[], None] = lambda: None) -> Layer:
    content = os.urandom(LARGE)
    return make_layer(
        make_tar({f"file{number}": content, "shared": b"%d" % number, f"after{number}": b"x"}), opened=opened
    )


def read_file(tree: Tree, name: bytes) -> bytes:
    inode = find(tree, name)
    assert inode is not None
    return tree.body(inode).read()


def count_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_the_order_of_layers_is_not_that_in_which_they_are_ready(tmp_path: Path) -> None:
    other = threading.Event()
    layers = [make_large(0, opened=lambda: assert_(other.wait(60))), make_large(1, opened=other.set)]
    layers += [make_large(number) for number in range(2, 6)]
    told: list[tuple[int, int]] = []
    tree = LayerTree(layers, scratch=tmp_path, report=lambda done, whole: told.append((done, whole)))
    assert read_file(tree.tree, b"shared") == b"5"
    assert {path for path, _ in walk(tree.tree) if path.startswith(b"after")} == {b"after%d" % n for n in range(6)}
    tree.close()
    whole = sum(layer.size for layer in layers)
    assert told[-1] == (whole, whole)
    assert told == sorted(told)
    assert threading.active_count() == 1


def assert_(condition: object) -> None:
    assert condition


@pytest.mark.parametrize("broken", range(4))
def test_a_broken_layer_ends_the_work_on_the_others(broken: int, tmp_path: Path) -> None:
    before = count_files()
    layers = [make_large(number) for number in range(4)]
    layers[broken] = make_layer(make_tar({"a": b"b", "c": os.urandom(LARGE)}), diff_id="sha256:" + "0" * 64)
    with pytest.raises(Invalid, match=f"layer {broken + 1} of 4 .*: the archive in the layer is sha256:"):
        LayerTree(layers, scratch=tmp_path, report=lambda done, whole: None)
    assert count_files() == before
    assert threading.active_count() == 1


def test_what_the_report_raises_ends_the_work(tmp_path: Path) -> None:
    before = count_files()

    def report(done: int, whole: int) -> None:
        if done > whole // 2:
            raise Stopped("given up")

    with pytest.raises(Stopped):
        LayerTree([make_large(number) for number in range(4)], scratch=tmp_path, report=report)
    assert count_files() == before


@pytest.mark.parametrize("place", ["file", "memory"])
@pytest.mark.parametrize("size", [0, 1, 256 << 10, (256 << 10) + 1, 3 << 20])
def test_zeros_come_back_and_take_no_place(size: int, place: str, tmp_path: Path) -> None:
    layer = make_layer(make_tar({"zeros": bytes(size), "last": bytes(size)}))
    opened: list[BinaryIO] = []

    def open_spool() -> BinaryIO:
        opened.append(io.BytesIO() if place == "memory" else open_nameless(tmp_path))
        return opened[-1]

    tree = read_layers([layer], open_spool=open_spool)
    assert read_file(tree, b"zeros") == read_file(tree, b"last") == bytes(size)
    if place == "file":
        assert os.fstat(opened[0].fileno()).st_blocks * 512 < (1 << 20)
    assert tree.source is not None
    tree.source.close()


@pytest.mark.parametrize(
    ("window_log", "waits"), [(20, False), (23, False), (24, True), (26, True)]
)  # fmt: skip
def test_long_histories_are_kept_one_at_a_time(window_log: int, waits: bool, tmp_path: Path) -> None:
    """A second layer with a long history waits until the first is read; with a short one it does not."""
    from backports import zstd

    options: dict[int, int] = {
        zstd.CompressionParameter.window_log: window_log,
        zstd.CompressionParameter.compression_level: 1,
    }

    def read(name: str) -> LayerReader:
        archive = make_tar({name: os.urandom(1 << 20)})
        compressor = zstd.ZstdCompressor(options=options)
        blob = compressor.compress(archive) + compressor.flush()
        return LayerReader(
            io.BytesIO(blob),
            media_type="",
            digest=sha256(blob),
            size=len(blob),
            diff_id=sha256(archive),
            limits=ExpansionLimits(),
        )

    first, second = read("first"), read("second")
    assert next(first.pieces(1000))
    done = threading.Event()

    def go_on() -> None:
        second.finish()
        done.set()

    thread = threading.Thread(target=go_on)
    thread.start()
    assert done.wait(1 if waits else 60) is not waits
    first.close()
    assert done.wait(60)
    thread.join()
    second.close()


def test_layers_in_one_archive_are_read_beside_each_other(tmp_path: Path) -> None:
    """As `docker save` has them: all windows are on one file with one position."""
    archives = {f"{number}": make_tar({f"file{number}": os.urandom(3 * LARGE)}) for number in range(4)}
    with closing(ArchiveTree(io.BytesIO(make_tar(archives)))) as outer:
        layers = []
        for name, archive in archives.items():

            def open_layer(name: str = name) -> BinaryIO:
                found = outer.open(name)
                assert found is not None
                return found

            layers.append(Layer(open_layer, "", sha256(archive), len(archive), sha256(archive)))
        tree = LayerTree(layers, scratch=tmp_path, report=lambda done, whole: None)
        assert len(list(walk(tree.tree))) == 5
        tree.close()
