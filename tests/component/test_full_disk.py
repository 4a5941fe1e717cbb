"""A disk that is really full: a small file system of its own, filled by somebody else to the last byte."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.component.fake_world import FakeWorld

SIZE_KIB = 6 << 10
RUN = ("vm", "run", "-d", "--no-workspace", "--name", "box")


@pytest.fixture
def small_world(tmp_path: Path) -> Iterator[FakeWorld]:
    """A world on a file system that is nearly nothing."""
    root = tmp_path / "small"
    root.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_KIB}k,mode=0700", "banger-test", str(root)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting is not allowed here")
    try:
        world = FakeWorld(root, cache=tmp_path / "cache")
        world.start_daemon()
        yield world
        world.clear()
    finally:
        subprocess.run(["umount", "-l", str(root)], check=True)


def fill(world: FakeWorld, *, left_kib: int) -> Path:
    """Take all space but so much."""
    filler = world.root / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
        file.truncate(max(0, file.tell() - left_kib * 1024))
    return filler


@pytest.mark.parametrize("left_kib", [0, 4, 16, 64, 256, 1024])
def test_a_run_that_finds_no_space(small_world: FakeWorld, left_kib: int) -> None:
    filler = fill(small_world, left_kib=left_kib)
    done = small_world.banger(*RUN)
    if done.returncode != 0:
        assert done.returncode == 8, done.stderr
        assert b"no space left" in done.stderr
        assert b"hint:" in done.stderr
        assert small_world.vms() == []
        small_world.check_nothing_left()
        filler.unlink()
        small_world.succeed(*RUN)
    assert small_world.succeed("vm", "exec", "box", "--cwd", "/", "echo", "alive") == b"alive\n"
    filler.unlink(missing_ok=True)


def test_deleting_is_how_one_gets_space(small_world: FakeWorld) -> None:
    small_world.succeed(*RUN)
    fill(small_world, left_kib=0)
    assert small_world.vms()[0]["state"] == "running"
    assert small_world.succeed("vm", "exec", "box", "--cwd", "/", "echo", "alive") == b"alive\n"
    small_world.succeed("vm", "stop", "box")
    small_world.succeed("vm", "delete", "box")
    small_world.check_nothing_left()
    (small_world.root / "filler").unlink()


def test_a_daemon_starts_on_a_full_disk(small_world: FakeWorld) -> None:
    """Or says why it cannot; what runs keeps running."""
    small_world.succeed(*RUN)
    pid = small_world.vms()[0]["pid"]
    fill(small_world, left_kib=0)
    small_world.kill_daemon()
    said = small_world.spawn_daemon()
    (small_world.root / "filler").unlink()
    if said != b"ready\n":
        assert b'"unavailable"' in said, said
        small_world.start_daemon()
    assert [(vm["state"], vm["pid"]) for vm in small_world.vms()] == [("running", pid)]
