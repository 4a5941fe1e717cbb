"""Trees that a hostile guest sends for the host's disk, and a hostile neighbour there: nothing is written outside."""

from __future__ import annotations

import itertools
import os
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from banger.core.errors import AlreadyExists, BangerError, Failed, Invalid, NotFound, Unavailable
from banger.guest import host_tree
from banger.guest.host_place import (
    aside_name,
    check_name,
    check_vacant,
    finish_replacing,
    open_directory,
    partial_name,
    place,
    remove_entry,
)
from banger.guest.host_tree import HostTree, judge_record
from banger.guest.tree_stream import MalformedTree, TreeRecord

PARTIAL = b".x.op-1.partial"


def entry(kind: str, path: bytes, **more: object) -> TreeRecord:
    return TreeRecord(**{"kind": kind, "path": path, "mode": 0o644, **more})  # type: ignore[arg-type]


@contextmanager
def directory(path: Path) -> Iterator[int]:
    descriptor = open_directory(str(path))
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def write(parent: int, events: list[TreeRecord | bytes]) -> None:
    with closing(HostTree(parent, PARTIAL, check_space=lambda _size: None)) as tree:
        for event in events:
            tree.take(event)
        tree.finish()


def take_zeros(tree: HostTree, *, mebibytes: int) -> None:
    for _ in range(mebibytes):
        tree.take(bytes(1 << 20))


def everything(path: Path) -> list[str]:
    return sorted(str(found.relative_to(path)) for found in path.rglob("*"))


@pytest.mark.parametrize(
    "events",
    [
        [entry("f", b"../evil", size=1), b"x"],
        [entry("f", b"/evil", size=1), b"x"],
        [entry("f", b"a/../../evil", size=1), b"x"],
        [entry("d", b".."), entry("f", b"../evil")],
        [entry("d", b".")],
        [entry("f", b"a\0b")],
        [entry("f", b"a//b")],
        [entry("f", b"n" * 256)],
        [entry("l", b"a", target=b"/"), entry("f", b"a/evil", size=1), b"x"],
        [entry("l", b"a", target=b".."), entry("d", b"a/evil")],
        [entry("l", b"a", target=b".."), entry("l", b"a/evil", target=b"x")],
        [entry("l", b"a", target=b"evil"), entry("f", b"a", size=1), b"x"],
        [entry("f", b"a"), entry("l", b"a", target=b"/")],
        [entry("f", b"a"), entry("f", b"a")],
        [entry("f", b"a"), entry("d", b"a")],
        [entry("d", b"a"), entry("f", b"a")],
        [entry("d", b"a"), entry("d", b"a")],
        [entry("l", b"a", target=b"x"), entry("l", b"a", target=b"y")],
        [entry("f", b"a"), entry("f", b"a/b")],
        [entry("f", b"missing/a")],
        [entry("f", b"a"), entry("h", b"b", target=b"a")],
        [entry("h", b"b", target=b"../../etc/passwd")],
        [entry("d", b"")],
        [entry("l", b"", target=b"/")],
        [entry("d", b"/".join([b"d"] * depth)) for depth in range(1, 200)],
    ],
    ids=lambda events: repr([getattr(event, "path", event)[:20] for event in events])[:60],
)
def test_what_is_no_tree_is_refused_and_taken_away(tmp_path: Path, events: list[TreeRecord | bytes]) -> None:
    (tmp_path / "dest").mkdir()
    with directory(tmp_path / "dest") as parent:
        with pytest.raises(MalformedTree):
            write(parent, events)
        outside = [name for name in everything(tmp_path) if not f"{name}/".startswith(f"dest/{PARTIAL.decode()}/")]
        assert outside == ["dest"]
        remove_entry(parent, PARTIAL)
    assert everything(tmp_path) == ["dest"]


def test_links_are_kept_as_they_are_and_never_followed(tmp_path: Path) -> None:
    with directory(tmp_path) as parent:
        write(parent, [entry("l", b"root", target=b"/"), entry("d", b"sub"), entry("l", b"sub/up", target=b"../..")])
        place(parent, PARTIAL, b"x", replace=False)
        assert os.readlink(tmp_path / "x" / "root") == "/"
        remove_entry(parent, b"x")
    assert everything(tmp_path) == []
    assert os.path.exists("/etc/passwd")


def test_modes_and_times_are_tamed(tmp_path: Path) -> None:
    with directory(tmp_path) as parent:
        write(
            parent,
            [
                entry("d", b"d", mode=0o7777, mtime_s=-(1 << 62)),
                entry("d", b"shut", mode=0),
                entry("f", b"d/f", mode=0o6777, mtime_s=1 << 62, mtime_ns=999_999_999),
                entry("f", b"none", mode=0),
                entry("l", b"d/l", target=b"x", mode=0o777, mtime_s=-1),
            ],
        )
        place(parent, PARTIAL, b"x", replace=False)
    modes = {str(p.relative_to(tmp_path)): stat.S_IMODE(p.lstat().st_mode) for p in tmp_path.rglob("[dfns]*")}
    assert modes == {"x/d": 0o755, "x/d/f": 0o755, "x/none": 0, "x/shut": 0o700}


def test_an_endless_tree_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_tree, "ENTRIES_LIMIT", 1000)
    monkeypatch.setattr(host_tree, "LATE_LIMIT_BYTES", 100_000)
    for kind, what in (("f", "entries"), ("d", "remembered"), ("l", "remembered")):
        with directory(tmp_path) as parent:
            with pytest.raises(MalformedTree, match=what):
                write(parent, [entry(kind, b"%d" % number, target=b"t") for number in range(2000)])
            remove_entry(parent, PARTIAL)


def test_space_is_asked_for_before_and_while_it_is_used(tmp_path: Path) -> None:
    asked: list[int] = []

    def check(size: int) -> None:
        asked.append(size)
        if size > 1 << 40 or len(asked) > 5:
            raise Unavailable("the disk is full")

    with directory(tmp_path) as parent:
        with closing(HostTree(parent, PARTIAL, check_space=check)) as tree:
            with pytest.raises(Unavailable):
                tree.take(entry("f", b"huge", size=1 << 60))
            assert not (tmp_path / PARTIAL.decode() / "huge").exists()
            tree.take(entry("f", b"long", size=1 << 30))
            with pytest.raises(Unavailable):
                take_zeros(tree, mebibytes=100)
        assert len(asked) == 6
        remove_entry(parent, PARTIAL)
    assert everything(tmp_path) == []


NAMES = st.sampled_from([b"a", b"b", b"..", b".", b"", b"c\0", b"\xff", b"a b"])
PATHS = st.lists(NAMES, max_size=4).map(b"/".join)
RECORDS = st.builds(
    lambda kind, path, target, mode, time: entry(kind, path, target=target, mode=mode, mtime_s=time),
    st.sampled_from("fdlh"),
    PATHS,
    st.sampled_from([b"/", b"..", b"../../outside", b"a", b"b/a"]),
    st.integers(0, 0o7777),
    st.integers(-(1 << 63), (1 << 63) - 1),
)


@settings(max_examples=300)
@given(records=st.lists(RECORDS, max_size=12))
def test_no_sequence_of_records_reaches_outside(records: list[TreeRecord]) -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        (root / "dest").mkdir()
        (root / "outside").mkdir()
        with directory(root / "dest") as parent:
            with suppress(BangerError):
                write(parent, list(records))
            remove_entry(parent, PARTIAL)
        assert everything(root) == ["dest", "outside"]


@given(path=st.binary(max_size=300))
def test_every_path_becomes_safe_names_or_nothing(path: bytes) -> None:
    try:
        names = judge_record(entry("f", path))
    except MalformedTree:
        return
    assert b"/".join(names) == path
    assert all(name not in (b"", b".", b"..") and b"/" not in name and b"\0" not in name for name in names)


SWAPPER = """
import os, sys
real, outside = sys.argv[1:]
aside = real + ".aside"
print("ready", flush=True)
while True:
    os.rename(real, aside)
    os.symlink(outside, real)
    os.unlink(real)
    os.rename(aside, real)
"""


def test_a_neighbour_who_swaps_the_destination_for_a_link_gets_nothing(tmp_path: Path) -> None:
    outside, real = tmp_path / "outside", tmp_path / "shared" / "swapped"
    outside.mkdir()
    (outside / "dest").mkdir()
    (real / "dest").mkdir(parents=True)
    swapper = subprocess.Popen([sys.executable, "-c", SWAPPER, real, outside], stdout=subprocess.PIPE)
    try:
        assert swapper.stdout is not None
        assert swapper.stdout.readline() == b"ready\n"
        written = refused = 0
        deadline_s = time.monotonic() + 120  # on a busy computer one of them may have to wait for its turn
        for number in itertools.count():
            try:
                with directory(real / "dest") as parent:
                    final = b"x%d" % number
                    write(parent, [entry("d", b"d"), entry("f", b"d/f", size=1), b"x", entry("l", b"l", target=b"/")])
                    place(parent, PARTIAL, final, replace=False)
                    remove_entry(parent, final)
                    written += 1
            except (NotFound, Failed):
                refused += 1
            assert everything(outside) == ["dest"]
            if (written > 100 and refused > 100) or (written and refused and number >= 3000):
                break
            assert time.monotonic() < deadline_s, (written, refused)
    finally:
        swapper.kill()
        swapper.communicate()


def test_a_neighbour_who_swaps_a_directory_of_the_copy_for_a_link_gets_nothing(tmp_path: Path) -> None:
    outside, dest = tmp_path / "outside", tmp_path / "dest"
    outside.mkdir()
    dest.mkdir()
    with directory(dest) as parent, closing(HostTree(parent, PARTIAL, check_space=lambda _size: None)) as tree:
        tree.take(entry("d", b"d"))
        tree.take(entry("d", b"d/e"))
        inner = dest / PARTIAL.decode() / "d"
        inner.rename(tmp_path / "aside")
        inner.symlink_to(outside)
        for kind in "fdl":
            with pytest.raises(MalformedTree):
                tree.take(entry(kind, b"d/e/new" + kind.encode(), target=b"x"))
        with pytest.raises(BangerError):
            tree.finish()
        assert everything(outside) == []


@pytest.mark.parametrize("path", ["relative", "/a/../b", "/a//b", "/a/.", "/a\0", ""])
def test_a_directory_has_one_full_name(path: str) -> None:
    with pytest.raises(Invalid):
        open_directory(path)


def test_a_link_on_the_way_to_the_destination_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real" / "dest").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "real" / "to-dest").symlink_to("dest")
    (tmp_path / "file").touch()
    for path in ("link/dest", "real/to-dest", "file"):
        with pytest.raises(Failed):
            open_directory(str(tmp_path / path))
    with pytest.raises(NotFound):
        open_directory(str(tmp_path / "nothing" / "here"))


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/", "a\0b", "n" * 256])
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(Invalid):
        check_name(name)


def test_a_name_as_long_as_can_be_has_a_partial_one() -> None:
    name = partial_name(check_name("ü" * 127), "op-0123456789")
    assert len(name) <= 255
    assert len(aside_name(name)) <= 255
    assert check_name(os.fsdecode(name)) == name


@pytest.mark.parametrize("there", ["file", "link", "empty", "full", "pipe", "nothing"])
@pytest.mark.parametrize("what", ["file", "tree"])
@pytest.mark.parametrize("replace", [False, True])
def test_what_may_take_whose_place(tmp_path: Path, there: str, what: str, replace: bool) -> None:
    target = tmp_path / "x"
    match there:
        case "file":
            target.write_bytes(b"old")
        case "link":
            target.symlink_to("elsewhere")
        case "empty":
            target.mkdir()
        case "full":
            target.mkdir()
            (target / "old").touch()
        case "pipe":
            os.mkfifo(target)
    before = everything(tmp_path)
    allowed = there in {"file": ("nothing", "file", "link"), "tree": ("nothing", "empty")}[what] or (
        there == "full" and what == "tree" and replace
    )
    with directory(tmp_path) as parent:
        if what == "file":
            write(parent, [entry("f", b"", size=3), b"new"])
        else:
            write(parent, [entry("f", b"new", size=3), b"new"])
        if allowed:
            check_vacant(parent, b"x", replace=replace)
            place(parent, PARTIAL, b"x", replace=replace)
            finish_replacing(parent, PARTIAL, b"x")
            assert everything(tmp_path) == (["x"] if what == "file" else ["x", "x/new"])
            return
        with pytest.raises(AlreadyExists):
            place(parent, PARTIAL, b"x", replace=replace)
        finish_replacing(parent, PARTIAL, b"x")
        remove_entry(parent, PARTIAL)
    assert everything(tmp_path) == before


def test_a_directory_that_was_set_aside_comes_back_unless_its_replacement_is_there(tmp_path: Path) -> None:
    aside = tmp_path / os.fsdecode(aside_name(PARTIAL))
    with directory(tmp_path) as parent:
        aside.mkdir()
        (tmp_path / PARTIAL.decode()).mkdir()
        finish_replacing(parent, PARTIAL, b"x")
        assert everything(tmp_path) == [PARTIAL.decode(), "x"]
        (tmp_path / "x").rename(aside)
        (tmp_path / PARTIAL.decode()).rename(tmp_path / "x")
        finish_replacing(parent, PARTIAL, b"x")
        assert everything(tmp_path) == ["x"]
        finish_replacing(parent, PARTIAL, b"x")
