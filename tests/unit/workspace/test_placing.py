"""Files into a tree and back out of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from banger.core.errors import Failed
from banger.workspace.placing import PlacedFile, Placing
from banger.workspace.reaching import find_obstacle
from banger.workspace.work_tree import WorkTree

NEW = {"a": "100644", "d/b": "100755", "new/deep/c": "100644", "link": "120000", "gone/too": "", "kept/gone": ""}


def snapshot(top: Path) -> dict[str, tuple[int, bytes]]:
    found = {}
    for path in sorted(top.rglob("*")):
        content = os.fsencode(path.readlink()) if path.is_symlink() else path.read_bytes() if path.is_file() else b""
        found[str(path.relative_to(top))] = (path.lstat().st_mode, content)
    return found


@pytest.fixture
def top(tmp_path: Path) -> Path:
    top = tmp_path / "top"
    for name, content in {
        "a": "old a\n",
        "d/b": "old b\n",
        "gone/too": "x\n",
        "kept/gone": "y\n",
        "kept/stays": "z\n",
    }.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(content)
    (top / "a").chmod(0o640)
    (top / "link").symlink_to("a")
    return top


def plan(tmp_path: Path, top: Path) -> Placing:
    directory = tmp_path / "work"
    for name, mode in NEW.items():
        if mode:
            (directory / "new" / name).parent.mkdir(parents=True, exist_ok=True)
            (directory / "new" / name).write_text("d/b" if mode == "120000" else f"new {name}\n")
    with WorkTree(top) as tree:
        seen = {name: tree.look(name.encode()) for name in NEW}
    files = [
        PlacedFile(name.encode(), mode, found.stamp if (found := seen[name]) else None) for name, mode in NEW.items()
    ]
    return Placing(directory, top, files, umask=0o027)


def test_everything_is_placed(tmp_path: Path, top: Path) -> None:
    placing = plan(tmp_path, top)
    placing.record()
    placing.write()
    assert {name: content for name, (_, content) in snapshot(top).items()} == {
        "a": b"new a\n",
        "d": b"",
        "d/b": b"new d/b\n",
        "kept": b"",
        "kept/stays": b"z\n",
        "link": b"d/b",
        "new": b"",
        "new/deep": b"",
        "new/deep/c": b"new new/deep/c\n",
    }
    modes = {name: mode & 0o777 for name, (mode, _) in snapshot(top).items()}
    assert (modes["a"], modes["new"], modes["new/deep/c"]) == (0o640, 0o750, 0o640)
    assert modes["d/b"] & 0o111


@pytest.mark.parametrize("later", [False, True], ids=["at once", "by a later process"])
def test_and_taken_back(tmp_path: Path, top: Path, later: bool) -> None:
    before = snapshot(top)
    times = {name: (top / name).lstat().st_mtime_ns for name in ("a", "d/b", "kept/gone")}
    placing = plan(tmp_path, top)
    placing.record()
    placing.write()
    again = Placing.read(tmp_path / "work") if later else placing
    assert again is not None
    assert again.restore() == []
    assert snapshot(top) == before
    assert {name: (top / name).lstat().st_mtime_ns for name in times} == times
    assert again.restore() == []  # twice is no harm
    assert snapshot(top) == before


def test_before_anything_was_written_down_nothing_is_to_be_done(tmp_path: Path) -> None:
    assert Placing.read(tmp_path) is None


@pytest.mark.parametrize("name", ["a", "link", "new/deep/c", "gone/too"])
def test_a_file_that_changes_meanwhile_stops_it(tmp_path: Path, top: Path, name: str) -> None:
    placing = plan(tmp_path, top)
    placing.record()
    path = top / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.write_text("mine\n")
    before = snapshot(top)
    with pytest.raises(Failed, match="changed while"):
        placing.write()
    left = placing.restore()
    assert path.read_text() == "mine\n"
    assert left in ([], [name.encode()])
    assert snapshot(top) == before


def test_what_somebody_changes_afterwards_is_not_taken_back(tmp_path: Path, top: Path) -> None:
    placing = plan(tmp_path, top)
    placing.record()
    placing.write()
    (top / "a").write_text("mine\n")
    (top / "new" / "deep" / "mine").write_text("mine\n")
    assert placing.restore() == [b"a"]
    assert (top / "a").read_text() == "mine\n"
    assert not (top / "new" / "deep" / "c").exists()
    assert (top / "new" / "deep" / "mine").exists()
    assert (top / "d" / "b").read_text() == "old b\n"


@pytest.mark.parametrize(
    ("path", "gone", "found"),
    [
        ("x", (), None),
        ("a", (), None),  # git says what is wrong with it
        ("a/x", (), "a is not a directory here"),
        ("a/x", ("a",), None),
        ("link/x", (), "link is not a directory here"),
        ("kept", (), "kept is a directory here"),
        ("kept", ("kept/gone",), "kept is a directory here"),
        ("kept", ("kept/gone", "kept/stays"), None),
        ("no/such/place", (), None),
    ],
)
def test_what_is_in_the_way(top: Path, path: str, gone: tuple[str, ...], found: str | None) -> None:
    assert find_obstacle(top, path.encode(), frozenset(map(str.encode, gone))) == found
