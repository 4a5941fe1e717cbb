"""`image export` through the real command line and daemon."""

from __future__ import annotations

import io
import json
import re
import tarfile
from pathlib import Path

import pytest
from tests.component.fake_world import FakeWorld
from tests.unit.image.test_images import make_archive

from banger.core.layout import Layout


@pytest.fixture
def stocked(fake_world: FakeWorld) -> FakeWorld:
    archive = fake_world.root / "rootfs.tar"
    archive.write_bytes(make_archive({"bin/sh": b"shell", "etc/x": b"x" * 500_000}).read())
    fake_world.succeed("image", "import", "-q", str(archive), "--name", "tiny")
    return fake_world


def test_an_image_goes_out_and_comes_back(stocked: FakeWorld) -> None:
    target = stocked.root / "tiny.oci.tar"
    done = stocked.banger("image", "export", "tiny", "-o", str(target))
    assert (done.returncode, done.stdout) == (0, b"")
    assert b"tiny " in done.stderr
    assert target.stat().st_mode & 0o777 == 0o644
    assert stocked.succeed("image", "export", "tiny", "-q") == target.read_bytes()
    assert stocked.succeed("image", "export", "tiny", "-q", "-o", "-") == target.read_bytes()
    shown = stocked.json("image", "import", str(target), "--name", "back")
    assert shown["digest"] == stocked.json("image", "show", "tiny")["digest"]


def test_what_was_written_is_told(stocked: FakeWorld) -> None:
    target = stocked.root / "tiny.tar"
    for format_ in ("oci", "docker", "tar"):
        told = stocked.json("image", "export", "tiny", "-o", str(target), "--format", format_)
        assert (told["name"], told["format"], told["size_bytes"]) == ("tiny", format_, target.stat().st_size)
        assert (told["archive_digest"] is None) is (format_ == "tar")
    with tarfile.open(fileobj=io.BytesIO(target.read_bytes())) as archive:
        assert archive.getnames() == [".", "bin", "bin/sh", "etc", "etc/x"]


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("nothing",), 3, b"there is no image named nothing here"),
        (("tiny", "--platform", "linux/arm64"), 3, b"there is no image named tiny here for linux/arm64"),
        (("tiny", "--json"), 2, b"standard output cannot have both"),
        (("tiny", "--format", "zip"), 2, b"zip"),
    ],
)
def test_what_cannot_be_exported(stocked: FakeWorld, arguments: tuple[str, ...], status: int, said: bytes) -> None:
    done = stocked.banger("image", "export", *arguments)
    assert done.returncode == status
    assert said in done.stdout + done.stderr
    assert (b"{" in done.stdout) is ("--json" in arguments)


def test_a_damaged_image_leaves_what_was_there(stocked: FakeWorld) -> None:
    layout = Layout(
        config=stocked.root,
        state=stocked.state,
        cache=Path(stocked.environment["XDG_CACHE_HOME"], "banger"),
        run=stocked.root,
    )
    digest = stocked.json("image", "show", "tiny")["digest"].removeprefix("sha256:")
    rootfs = layout.images / "sha256" / digest / "rootfs.erofs"
    content = bytearray(rootfs.read_bytes())
    content[-1000] ^= 1
    rootfs.chmod(0o600)
    rootfs.write_bytes(content)
    target = stocked.root / "out.tar"
    target.write_bytes(b"before")
    done = stocked.banger("image", "export", "tiny", "-o", str(target))
    assert done.returncode == 1
    assert re.search(rb"rootfs.erofs of the image .* is damaged: it is sha256:\w{64}, not sha256:\w{64}", done.stderr)
    assert target.read_bytes() == b"before"
    assert sorted(path.name for path in stocked.root.glob("out*")) == ["out.tar"]
    assert stocked.banger("image", "export", "tiny", "-q").stdout == b""


def test_json_errors_are_json_too(stocked: FakeWorld) -> None:
    done = stocked.banger("image", "export", "nothing", "-o", str(stocked.root / "x"), "--json")
    assert done.returncode == 3
    assert json.loads(done.stdout)["error"]["kind"] == "not_found"
    assert not (stocked.root / "x").exists()


@pytest.mark.parametrize("promoted", [False, True])
@pytest.mark.parametrize("head", [bytes(1080) + b"\x53\xef", bytes(1024) + b"\xe2\xe1\xf5\xe0"], ids=["ext4", "erofs"])
def test_a_file_system_that_was_made_elsewhere_is_not_read(
    fake_world: FakeWorld, tmp_path: Path, promoted: bool, head: bytes
) -> None:
    (tmp_path / "rootfs").write_bytes(head + bytes(1 << 20))
    fake_world.succeed("image", "register", str(tmp_path / "rootfs"), "--name", "mine", "-q")
    if promoted:
        fake_world.succeed("image", "promote", "mine", "-q")
    done = fake_world.banger("image", "export", "mine", "-o", str(tmp_path / "out.tar"))
    assert done.returncode == 7
    assert b"made elsewhere" in done.stderr
    assert not (tmp_path / "out.tar").exists()
