"""File system images that are used where they lie, and copied into the store later."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from tests.component.fake_world import FakeWorld

EXT4 = bytes(1080) + b"\x53\xef" + bytes(100) + b"content" + bytes(1 << 20)
EROFS = bytes(1024) + b"\xe2\xe1\xf5\xe0" + bytes(3000)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "rootfs.ext4"
    path.write_bytes(EXT4)
    return path


def test_it_is_used_where_it_lies(fake_world: FakeWorld, image: Path) -> None:
    world = fake_world
    registered = world.json("image", "register", str(image), "--name", "mine", "--init", "/sbin/init")
    assert (registered["size_bytes"], registered["init"]) == (len(EXT4), "/sbin/init")
    shown = world.json("image", "show", "mine")
    assert (shown["provenance"]["kind"], shown["provenance"]["reference"]) == ("file", str(image))
    assert shown["packages"] is None
    world.succeed("vm", "run", "-q", "-d", "--no-workspace", "--name", "box", "--image", "mine")
    assert world.banger("image", "delete", "mine").returncode == 5
    assert ("image", "mine", 0) in [
        (one["kind"], one["name"], one["bytes"]) for one in world.json("system", "df")["shared"]
    ]
    world.succeed("vm", "delete", "box")
    world.succeed("image", "delete", "mine")
    assert image.read_bytes() == EXT4


@pytest.mark.parametrize("change", ["content", "time", "another file", "gone"])
def test_one_that_changed_is_refused(fake_world: FakeWorld, image: Path, change: str) -> None:
    world = fake_world
    world.succeed("image", "register", str(image), "--name", "mine", "-q")
    world.succeed("vm", "create", "box", "--no-start", "--image", "mine")
    status = image.stat()
    if change == "content":
        image.write_bytes(EXT4.replace(b"content", b"Content"))
        os.utime(image, ns=(status.st_atime_ns, status.st_mtime_ns))
    elif change == "time":
        os.utime(image, (1, 1))
    elif change == "another file":
        image.rename(image.with_name("old"))
        image.write_bytes(EXT4)
    else:
        image.unlink()
    for words in (
        ("vm", "start", "box"),
        ("vm", "create", "--image", "mine"),
        ("image", "promote", "mine"),
    ):
        done = world.banger(*words)
        assert done.returncode != 0
        assert str(image).encode() in done.stderr
        assert (b"has changed" in done.stderr) == (change != "gone")


def test_one_that_was_only_touched_is_registered_again(fake_world: FakeWorld, image: Path) -> None:
    world = fake_world
    before = world.json("image", "register", str(image), "--name", "mine")
    world.succeed("vm", "create", "box", "--no-start", "--image", "mine")
    moved = image.with_name("moved,to another place")
    image.rename(moved)
    assert world.banger("vm", "start", "box").returncode == 3
    assert world.json("image", "register", str(moved), "--name", "mine")["digest"] == before["digest"]
    world.succeed("vm", "start", "box")
    world.succeed("image", "register", str(moved), "--name", "second", "-q")
    world.succeed("vm", "restart", "box")
    moved.write_bytes(EXT4 + bytes(512))
    done = world.banger("image", "register", str(moved), "--name", "mine")
    assert (done.returncode, b"already another image" in done.stderr) == (4, True)


def test_promoted_it_needs_the_file_no_more(fake_world: FakeWorld, image: Path) -> None:
    world = fake_world
    registered = world.json("image", "register", str(image), "--name", "mine")
    promoted = world.json("image", "promote", "mine")
    assert promoted["digest"] != registered["digest"]
    image.unlink()
    stored = Path(
        world.environment["XDG_CACHE_HOME"], "banger", "images", "sha256", promoted["digest"].removeprefix("sha256:")
    )
    assert (stored / "rootfs.ext4").read_bytes() == EXT4
    world.succeed("vm", "run", "-q", "-d", "--no-workspace", "--name", "box", "--image", "mine")
    again = world.banger("image", "promote", "mine", "--json")
    assert (again.returncode, json.loads(again.stdout)["error"]["kind"]) == (5, "wrong_state")


def test_what_is_no_file_system(fake_world: FakeWorld, tmp_path: Path, image: Path) -> None:
    world = fake_world
    files = {
        "text": b"text",
        "empty": b"",
        "qcow": b"QFI\xfb" + bytes(4096),
        "tar": bytes(257) + b"ustar" + bytes(4000),
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        done = world.banger("image", "register", str(tmp_path / name), "--name", "mine")
        assert done.returncode == 7, done
        assert b"no file system" in done.stderr
    assert world.banger("image", "register", str(tmp_path), "--name", "mine").returncode == 2
    assert world.banger("image", "register", str(tmp_path / "none"), "--name", "mine").returncode == 2
    assert world.banger("image", "register", str(image), "--name", "fake").returncode == 4
    odd = tmp_path / "odd\nname"
    odd.write_bytes(EXT4)
    assert world.banger("image", "register", str(odd), "--name", "mine").returncode == 2
    done = world.banger("image", "register", str(image), "--name", "mine", "--init", "sbin/init root=/dev/sda")
    assert done.returncode == 2
    (tmp_path / "e").write_bytes(EROFS)
    assert world.json("image", "register", str(tmp_path / "e"), "--name", "mine")["name"] == "mine"
    assert world.banger("image", "promote", "fake").returncode == 5
    assert world.banger("image", "promote", "none").returncode == 3
