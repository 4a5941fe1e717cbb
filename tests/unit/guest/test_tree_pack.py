"""Packing host files: content, times and modes as they are, and no link is ever followed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path

import pytest
from tests.collected_tree import CollectedEntry, collect_tree

from banger.core.errors import Invalid
from banger.guest.tree_pack import (
    CHUNK_SIZE,
    Directory,
    HostFile,
    MemoryFile,
    PackEntry,
    SymbolicLink,
    iterate_in_thread,
    pack_files,
)
from banger.guest.tree_stream import TREE_END


async def unpack(*entries: PackEntry, reports: list[tuple[bytes, str]] | None = None) -> dict[bytes, CollectedEntry]:
    told: list[tuple[bytes, str]] = [] if reports is None else reports
    pieces = pack_files(entries, report=lambda path, what: told.append((path, what)))
    async with aclosing(iterate_in_thread(pieces)) as stream:
        tree = await collect_tree(stream)
    assert reports is not None or not told
    return tree


async def test_every_kind_of_entry_arrives(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    file = tmp_path / "sub" / "tool"
    file.write_bytes(os.urandom(1_000_000))
    file.chmod(0o4755)
    os.utime(file, ns=(0, 1_700_000_000_123_456_789))
    tree = await unpack(
        Directory(path=b"d", mode=0o700),
        HostFile(path=b"d/tool", root=tmp_path, name=b"sub/tool"),
        HostFile(path=b"d/other", root=tmp_path, name=b"sub/tool", mode=0o644, mtime_ns=-1),
        MemoryFile(path=b"note", content=b"hello"),
        SymbolicLink(path=b"link", target=b"/etc/passwd"),
    )
    tool = tree[b"d/tool"]
    assert tool.content == file.read_bytes()
    assert (tool.record.mode, tool.record.mtime_s, tool.record.mtime_ns) == (0o755, 1_700_000_000, 123_456_789)
    assert (tree[b"d/other"].record.mode, tree[b"d/other"].record.mtime_s) == (0o644, -1)
    assert tree[b"d/other"].record.mtime_ns == 999_999_999
    assert tree[b"note"].content == b"hello"
    assert tree[b"link"].record.target == b"/etc/passwd"
    assert tree[b"d"].record.mode == 0o700


async def test_names_of_any_bytes(tmp_path: Path) -> None:
    names = [b"a b", b"new\nline", b"\xff\xfe", b"-rf"]
    for name in names:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(name)
    tree = await unpack(*(HostFile(path=name, root=tmp_path, name=name) for name in names))
    assert {path: bytes(entry.content) for path, entry in tree.items()} == {name: name for name in names}


async def test_links_on_the_way_and_at_the_end_are_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    root = tmp_path / "root"
    root.mkdir()
    (root / "way").symlink_to(outside)
    (root / "end").symlink_to(outside / "secret")
    os.mkfifo(root / "pipe")
    reports: list[tuple[bytes, str]] = []
    names = (b"way/secret", b"end", b"missing", b"missing/below", b"pipe", b"end/below")
    tree = await unpack(*(HostFile(path=name, root=root, name=name) for name in names), reports=reports)
    assert tree == {}
    assert [path for path, _ in reports] == list(names)


async def test_a_directory_in_place_of_a_file_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    reports: list[tuple[bytes, str]] = []
    assert await unpack(HostFile(path=b"d", root=tmp_path, name=b"d"), reports=reports) == {}
    assert reports == [(b"d", "is no longer a regular file")]


@pytest.mark.parametrize("name", [b"../x", b"/etc/passwd", b"a/../../b", b""])
async def test_names_that_leave_the_root_are_refused(tmp_path: Path, name: bytes) -> None:
    with pytest.raises(Invalid):
        await unpack(HostFile(path=b"x", root=tmp_path, name=name))


@pytest.mark.parametrize("change", [-CHUNK_SIZE - 1, -1, 1, CHUNK_SIZE])
async def test_a_file_that_changes_keeps_its_announced_size(tmp_path: Path, change: int) -> None:
    file = tmp_path / "f"
    size = 3 * CHUNK_SIZE
    file.write_bytes(b"x" * size)
    reports: list[tuple[bytes, str]] = []
    pieces = pack_files(
        [HostFile(path=b"f", root=tmp_path, name=b"f")], report=lambda path, what: reports.append((path, what))
    )
    first = next(pieces)
    os.truncate(file, size + change)
    wire = first + b"".join(pieces)

    async def all_at_once() -> Iterator[bytes]:  # type: ignore[misc]  # an asynchronous generator
        yield wire

    tree = await collect_tree(all_at_once())  # type: ignore[arg-type]  # as above
    assert len(tree[b"f"].content) == size
    assert reports == [(b"f", "changed while it was read")]


def test_pieces_are_large_and_streams_can_be_continued(tmp_path: Path) -> None:
    entries = [MemoryFile(path=b"%d" % number, content=bytes(1000)) for number in range(1000)]
    pieces = list(pack_files(entries, report=lambda _path, _what: None, end=False))
    assert all(len(piece) >= CHUNK_SIZE for piece in pieces[:-1])
    assert not b"".join(pieces).endswith(TREE_END)
    assert list(pack_files([], report=lambda _path, _what: None)) == [TREE_END]


async def test_giving_up_closes_what_was_open(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(bytes(4 * CHUNK_SIZE))
    before = len(list(Path("/proc/self/fd").iterdir()))
    pieces = pack_files([HostFile(path=b"f", root=tmp_path, name=b"f")], report=lambda _path, _what: None)
    async with aclosing(iterate_in_thread(pieces)) as stream:
        async for _ in stream:
            break
    assert len(list(Path("/proc/self/fd").iterdir())) == before
