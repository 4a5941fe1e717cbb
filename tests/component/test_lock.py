"""`banger lock` and `vm run --locked`, with a real daemon and real stores."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.component.fake_world import FakeWorld
from tests.component.test_stores import rootfs
from tests.world import git


@pytest.fixture
def fake_world(tmp_path: Path) -> Iterator[FakeWorld]:
    world = FakeWorld(tmp_path / "w", cache=tmp_path / "cache")
    world.root.mkdir()
    world.keep_guests_apart()
    world.start_daemon()
    yield world
    world.clear()


LOCKED = ("vm", "run", "-q", "--rm", "--locked")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    path = tmp_path / "project"
    (path / "src").mkdir(parents=True)
    git(path, "init", "-q", "-b", "main")
    (path / "notes.txt").write_text("1\n")
    git(path, "add", ".")
    git(path, "-c", "user.name=me", "-c", "user.email=me@here", "commit", "-qm", "first")
    return path


def test_what_is_pinned_is_booted(fake_world: FakeWorld, repository: Path) -> None:
    world = fake_world
    done = world.succeed("lock", str(repository / "src"))
    assert b"banger.lock: fake " in done
    text = (repository / "banger.lock").read_text()
    assert world.json("image", "show", "fake")["digest"] in text
    world.succeed("lock", str(repository), "-q")
    assert (repository / "banger.lock").read_text() == text, "what did not change is written the same"
    assert world.succeed(*LOCKED, str(repository), "--", "cat", "notes.txt") == b"1\n"
    world.succeed("vm", "run", "-q", "-d", "--locked", "--name", "box", str(repository))
    assert world.json("vm", "show", "box")["origins"]["image"] == "lock"


def test_something_else_under_the_same_name_is_refused_with_both_digests(
    fake_world: FakeWorld, repository: Path, tmp_path: Path
) -> None:
    world = fake_world
    world.succeed("image", "pull", "-q", "debian-bookworm")
    world.succeed("lock", str(repository), "--image", "debian-bookworm", "-q")
    pinned = world.json("image", "show", "debian-bookworm")["digest"]
    lock = repository / "banger.lock"
    other = "sha256:" + "b" * 64
    lock.write_text(lock.read_text().replace(pinned, other))
    done = world.banger(*LOCKED, str(repository), "--", "true")
    assert done.returncode == 2
    assert pinned.encode() in done.stderr
    assert other.encode() in done.stderr
    world.succeed("image", "delete", "debian-bookworm")
    done = world.banger(*LOCKED, str(repository), "--", "true")
    assert (done.returncode, other.encode() in done.stderr) == (2, True)
    assert b"banger lock --image" in done.stderr
    assert world.banger("image", "show", "debian-bookworm").returncode == 3, "nothing is built that would be refused"


def test_what_is_not_here_is_got_again(fake_world: FakeWorld, repository: Path) -> None:
    world = fake_world
    world.succeed("lock", str(repository), "--image", "alpine:3.20", "-q")
    text = (repository / "banger.lock").read_text()
    assert 'source = "oci"' in text
    world.succeed("image", "delete", "alpine-3-20")
    done = world.banger("vm", "run", "--rm", "--locked", str(repository), "--", "true")
    assert done.returncode == 0, done
    assert b"pulling docker.io/library/alpine:3.20@sha256:" in done.stderr
    assert world.json("image", "show", "alpine-3-20")["digest"] in text


def test_a_kernel_of_a_distribution_is_got_again_or_refused(fake_world: FakeWorld, repository: Path) -> None:
    world = fake_world
    newest = Path(world.environment["XDG_CACHE_HOME"], "banger", "kernels", "newest")
    world.succeed("lock", str(repository), "--kernel", "debian-cloud", "-q")
    fake = world.json("image", "show", "fake")["digest"]
    text = (repository / "banger.lock").read_text()
    assert 'reference = "kernel 1"' in text
    world.succeed("kernel", "rm", "debian-cloud")
    newest.write_text("2")
    second = world.json("kernel", "pull", "debian-cloud")["digest"]
    world.succeed(*LOCKED, str(repository), "--", "true")
    assert world.json("kernel", "show", "debian-cloud")["digest"] == second, "nobody else's kernel is replaced"
    (name,) = [one["name"] for one in world.json("kernel", "list")["kernels"] if one["digest"] in text]
    world.succeed("kernel", "rm", name)
    newest.write_text("3")
    before = world.json("kernel", "list")
    done = world.banger(*LOCKED, str(repository), "--", "true")
    assert (done.returncode, b"no longer has kernel 1" in done.stderr) == (2, True)
    assert world.json("kernel", "list") == before
    newest.write_text("2")
    digest = next(part for part in text.split('"') if part.startswith("sha256:") and part != fake)
    (repository / "banger.lock").write_text(text.replace(digest, "sha256:" + "b" * 64))
    done = world.banger(*LOCKED, str(repository), "--", "true")
    assert (done.returncode, digest.encode() in done.stderr) == (2, True)
    assert world.json("kernel", "list") == before, "what was made for nobody has no name"


def test_what_was_made_of_files_is_only_here(fake_world: FakeWorld, repository: Path, tmp_path: Path) -> None:
    world = fake_world
    (tmp_path / "rootfs.tar").write_bytes(rootfs())
    world.succeed("image", "import", str(tmp_path / "rootfs.tar"), "--name", "tiny", "-q")
    world.succeed("lock", str(repository), "--image", "tiny", "-q")
    assert str(tmp_path) not in (repository / "banger.lock").read_text()
    world.succeed(*LOCKED, str(repository), "--", "true")
    world.succeed("image", "delete", "tiny")
    done = world.banger(*LOCKED, str(repository), "--", "true")
    assert b"made from files" in done.stderr
    world.succeed("image", "import", str(tmp_path / "rootfs.tar"), "--name", "again", "-q")
    world.succeed(*LOCKED, str(repository), "--", "true")


@pytest.mark.parametrize("what", ["image", "kernel"])
def test_one_flipped_bit_in_the_store_is_refused(fake_world: FakeWorld, repository: Path, what: str) -> None:
    world = fake_world
    world.succeed("lock", str(repository), "-q")
    digest = world.json(what, "show", "fake")["digest"]
    store = Path(world.environment["XDG_CACHE_HOME"], "banger", f"{what}s", "sha256", digest.removeprefix("sha256:"))
    for name in ("rootfs.erofs" if what == "image" else "vmlinuz", "manifest.json"):
        file = store / name
        good = file.read_bytes()
        file.chmod(0o600)
        at = good.index(b"architecture") if name == "manifest.json" else 0
        file.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
        done = world.banger(*LOCKED, str(repository), "--", "true")
        assert done.returncode != 0
        assert name.encode() in done.stderr or name == "manifest.json"
        file.write_bytes(good)
    world.succeed(*LOCKED, str(repository), "--", "true")


def test_lock_files_that_cannot_be_used(fake_world: FakeWorld, repository: Path, tmp_path: Path) -> None:
    world = fake_world
    done = world.banger(*LOCKED, str(repository), "--", "true")
    assert done.returncode == 2
    assert b"`banger lock` writes it" in done.stderr
    (repository / "banger.lock").symlink_to("/etc/passwd")
    assert b"symbolic link" in world.banger(*LOCKED, str(repository), "--", "true").stderr
    world.succeed("lock", str(repository), "-q")
    assert not (repository / "banger.lock").is_symlink()
    assert b"root" in Path("/etc/passwd").read_bytes()
    (repository / "banger.lock").write_text("version = 1\n")
    done = world.banger(*LOCKED, str(repository), "--", "true")
    assert done.returncode == 2
    assert b"image is missing" in done.stderr
    assert world.banger("lock", str(tmp_path)).returncode == 2
    assert world.banger(*LOCKED, "--image", "fake", str(repository)).returncode == 2
    assert json.loads(world.succeed("lock", str(repository), "--json"))["image"]["name"] == "fake"
