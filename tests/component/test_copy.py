"""Files into a guest and out of it through the real command line, daemon and agent."""

from __future__ import annotations

import os
import signal
import socket
import stat
from fnmatch import fnmatch
from pathlib import Path

import pytest
from tests.component.fake_world import FakeWorld
from tests.component.test_life import until

RUN = ("vm", "run", "-d", "--no-workspace", "--name", "box")


@pytest.fixture
def box(fake_world: FakeWorld) -> FakeWorld:
    fake_world.succeed(*RUN)
    return fake_world


def guest(world: FakeWorld) -> Path:
    """The fake guest has this computer's files: a directory of its own for a test."""
    path = world.root / "guest"
    path.mkdir(exist_ok=True)
    return path


def make_tree(path: Path) -> Path:
    (path / "sub" / "empty").mkdir(parents=True)
    (path / "sub" / "script").write_bytes(b"#!/bin/sh\n")
    (path / "sub" / "script").chmod(0o750)
    (path / "big").write_bytes(os.urandom(3_000_000))
    (path / "nothing").touch()
    (path / "link").symlink_to("/etc/passwd")
    (path / "sub" / "dangling").symlink_to("../no such")
    os.utime(path / "big", ns=(0, 1_600_000_000_123_456_789))
    (path / "read-only").mkdir()
    (path / "read-only" / "x").write_bytes(b"x")
    (path / "read-only" / "x").chmod(0o444)
    return path


def snapshot(path: Path) -> dict[str, tuple[object, ...]]:
    """Everything about a tree that a copy keeps."""
    found: dict[str, tuple[object, ...]] = {}
    for entry in sorted(path.rglob("*")):
        status = entry.lstat()
        content = os.readlink(entry) if entry.is_symlink() else entry.read_bytes() if entry.is_file() else None
        mode = None if entry.is_symlink() else stat.S_IMODE(status.st_mode)
        found[str(entry.relative_to(path))] = (mode, content, status.st_mtime_ns)
    return found


def test_trees_come_back_as_they_went(box: FakeWorld) -> None:
    inside = guest(box)
    tree = make_tree(box.root / "tree")
    result = box.json("vm", "cp", "tree", f"box:{inside}")
    assert (result["files"], result["directories"], result["links"], result["skipped"]) == (4, 4, 2, 0)
    assert result["destination"] == f"{inside}/tree"
    assert result["size_bytes"] == 3_000_000 + 10 + 1
    assert snapshot(inside / "tree") == snapshot(tree)
    assert box.succeed("vm", "cp", f"box:{inside}/tree", "back") == b""
    assert snapshot(box.root / "back") == snapshot(tree)
    (box.root / "into").mkdir()
    box.succeed("vm", "cp", f"box:{inside}/tree/", "into/")
    assert snapshot(box.root / "into" / "tree") == snapshot(tree)
    nothing_partial(box)


def test_files_both_ways_under_their_name_or_another(box: FakeWorld) -> None:
    inside = guest(box)
    (box.root / "a.txt").write_bytes(b"one")
    box.succeed("vm", "cp", "a.txt", f"box:{inside}")
    box.succeed("vm", "cp", "./a.txt", f"box:{inside}/b.txt")
    assert (inside / "a.txt").read_bytes() == (inside / "b.txt").read_bytes() == b"one"
    (box.root / "a.txt").write_bytes(b"two")
    done = box.banger("vm", "cp", "a.txt", f"box:{inside}/b.txt")
    assert (done.returncode, done.stdout) == (0, b"")
    assert done.stderr.decode().splitlines()[-1] == f"copied 1 file (3 B) to box:{inside}/b.txt"
    assert (inside / "b.txt").read_bytes() == b"two"
    box.succeed("vm", "cp", "-q", f"box:{inside}/b.txt", "a.txt")
    box.succeed("vm", "cp", f"box:{inside}/b.txt", ".")
    (box.root / "link").symlink_to("a.txt")
    box.succeed("vm", "cp", f"box:{inside}/a.txt", "link")
    assert (box.root / "link").read_bytes() == b"one"
    assert not (box.root / "link").is_symlink()
    assert (box.root / "a.txt").read_bytes() == (box.root / "b.txt").read_bytes() == b"two"
    nothing_partial(box)


def test_a_repository_of_the_guest_comes_with_a_warning(box: FakeWorld) -> None:
    """Its settings can name programs, and prompts of shells ask git about every directory."""
    inside, out = guest(box), box.root / "out"
    out.mkdir()
    (inside / "repo" / "deep" / ".git").mkdir(parents=True)
    (inside / "repo" / "deep" / ".git" / "config").write_text("[core]\n\tfsmonitor = /tmp/evil\n")
    (inside / "plain" / "git").mkdir(parents=True)
    done = box.banger("vm", "cp", f"box:{inside}/repo", str(out))
    assert b"repo/deep/.git is the guest's: git, and prompts that ask git, run what it says there" in done.stderr
    done = box.banger("vm", "cp", f"box:{inside}/repo/deep/.git", str(out))
    assert b"banger: .git is the guest's" in done.stderr
    done = box.banger("vm", "cp", f"box:{inside}/plain", str(out))
    assert done.returncode == 0
    assert b"is the guest's" not in done.stderr


def test_nothing_is_merged_and_kinds_do_not_replace_each_other(box: FakeWorld) -> None:
    inside = guest(box)
    for place in (box.root, inside):
        (place / "tree").mkdir()
        (place / "tree" / "old").write_bytes(b"old")
        (place / "file").write_bytes(b"file")
        (place / "empty").mkdir()
        (place / "empty" / "tree").mkdir()
    before = [snapshot(box.root / name) for name in ("tree", "empty", "guest")]
    os.mkfifo(box.root / "pipe")
    for words in (
        ("tree", f"box:{inside}"),
        ("tree", f"box:{inside}/file"),
        (f"box:{inside}/tree", "."),
        (f"box:{inside}/tree", "file"),
        (f"box:{inside}/file", "pipe"),
    ):
        done = box.banger("vm", "cp", *words)
        assert done.returncode == 4, (words, done)
        assert b"hint: " in done.stderr
        if "file" not in words[1]:
            continue
        assert box.banger("vm", "cp", "--force", *words).returncode == 4, words
    (box.root / "pipe").unlink()
    assert [snapshot(box.root / name) for name in ("tree", "empty", "guest")] == before
    assert (box.root / "file").read_bytes() == b"file"
    (inside / "tree" / "old").unlink()
    (inside / "tree" / "new").touch()
    box.succeed("vm", "cp", "tree", f"box:{inside}/empty")
    assert (inside / "empty" / "tree" / "old").exists()
    box.succeed("vm", "cp", f"box:{inside}/tree", "empty")
    assert (box.root / "empty" / "tree" / "new").exists()
    box.succeed("vm", "cp", "--force", f"box:{inside}/tree", ".")
    assert [path.name for path in (box.root / "tree").iterdir()] == ["new"]
    (box.root / "tree" / "new").unlink()
    box.succeed("vm", "cp", "--force", "tree", f"box:{inside}")
    assert list((inside / "tree").iterdir()) == []
    nothing_partial(box)


def test_refusals(box: FakeWorld) -> None:
    (box.root / "file").touch()
    for words, status in (
        (("file", "other"), 2),
        (("box:/a", "box:/b"), 2),
        (("no-such", "box:"), 3),
        (("file", "nobody:"), 3),
        (("file", "box:/no/such/place"), 3),
        (("file", "box:/no-such/"), 3),
        (("box:/no/such", "x"), 3),
        (("box:/etc/hostname", "no/such/place"), 3),
        (("box:/etc/hostname", "no-such/"), 3),
        (("box:/", "."), 2),
        (("box:/dev/null", "x"), 2),
        (("/dev/null", "box:/tmp"), 2),
    ):
        done = box.banger("vm", "cp", *words)
        assert done.returncode == status, (words, done)
        assert b"hint: " in done.stderr, done
    box.succeed("vm", "stop", "box")
    assert box.banger("vm", "cp", "file", "box:").returncode == 5
    nothing_partial(box)


def test_what_is_no_file_stays_behind_with_a_word(box: FakeWorld) -> None:
    inside = guest(box)
    tree = box.root / "tree"
    tree.mkdir()
    os.mkfifo(tree / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(tree / "s"))
        done = box.banger("vm", "cp", "tree", f"box:{inside}")
    assert done.returncode == 0
    assert b"pipe is a pipe, and is not copied\n" in done.stderr
    assert b"s is a socket, and is not copied\n" in done.stderr
    assert done.stderr.splitlines()[-1].endswith(b"; 2 left out")
    assert list((inside / "tree").iterdir()) == []


def partials(root: Path) -> list[str]:
    """Unfinished copies; directories may vanish meanwhile, which `os.walk` does not mind."""
    names = (name for _, directories, files in os.walk(root) for name in (*directories, *files))
    return [name for name in names if fnmatch(name, ".tree.*.partial")]


@pytest.mark.parametrize("direction", ["in", "out"])
def test_a_client_that_goes_leaves_nothing(box: FakeWorld, direction: str) -> None:
    inside = guest(box)
    endless = (box.root if direction == "in" else inside) / "tree"
    endless.mkdir()
    for number in range(300):
        with (endless / f"{number:03}").open("wb") as file:
            file.truncate(64 << 20)
    words = ("tree", f"box:{inside}") if direction == "in" else (f"box:{inside}/tree", ".")
    process = box.start("vm", "cp", *words)
    until(lambda: partials(box.root))
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.splitlines()[-1] == b"banger: cancelled"
    until(lambda: not partials(box.root))
    assert not ((inside if direction == "in" else box.root) / "tree").exists()
    until(lambda: box.rows("step") == 0)


def test_a_file_larger_than_the_disk_is_refused_at_once(box: FakeWorld) -> None:
    inside = guest(box)
    with (inside / "huge").open("wb") as file:
        file.truncate(1 << 43)
    done = box.banger("vm", "cp", f"box:{inside}/huge", ".")
    assert done.returncode == 8
    assert b"stay free" in done.stderr
    assert not (box.root / "huge").exists()
    nothing_partial(box)


def nothing_partial(world: FakeWorld) -> None:
    left = [path for pattern in (".*.partial", ".*.replaced") for path in world.root.rglob(pattern)]
    assert left == []
    assert world.rows("step") == 0
