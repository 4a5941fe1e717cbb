"""Images and kernels by name: what can be had, what is here, what VMs use; through the real command line and daemon."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.component.fake_world import FakeWorld
from tests.fakes.web import Page, WebServer
from tests.unit.catalogue.catalogues import NEW, OLD, catalogue
from tests.unit.image.rpm_database import database, header
from tests.unit.kernel.kernels import CONFIG, arm64_image, bzimage, modules, modules_tar

from banger.catalogue.signing import public_key, sign_catalogue, sign_rotation
from banger.core.platforms import host_architecture, name_platform


@pytest.fixture
def web() -> Iterator[WebServer]:
    with WebServer().running() as server:
        yield server


class Shop:
    """A web server with a catalogue and bundles, and a world that is configured to use it."""

    def __init__(self, world: FakeWorld, web: WebServer) -> None:
        self.world = world
        self.web = web
        self.entries: list[dict[str, Any]] = []
        world.configure(f'[[catalogues]]\nurl = "{web.url}/c.json"\nkey = "{public_key(OLD)}"\n')
        world.restart_daemon()

    def add(self, name: str, content: bytes, *, kind: str = "image", said: bytes | None = None) -> None:
        """Offer a bundle; `said` is what the catalogue says that it is."""
        self.web.pages[f"/{name}.tar"] = Page(content)
        described = content if said is None else said
        source = {
            "type": "bundle",
            "url": f"{self.web.url}/{name}.tar",
            "sha256": hashlib.sha256(described).hexdigest(),
            "size": len(described),
        }
        self.entries.append({"name": name, "kind": kind, "platform": "linux/amd64", "source": source})

    def publish(self, *keys: Ed25519PrivateKey, version: int = 1, rotations: list[bytes] | None = None) -> None:
        text = catalogue(version=version, entries=self.entries, expires="9999-01-01T00:00:00Z")
        self.web.pages["/c.json"] = Page(sign_catalogue(text, keys or (OLD,), rotations=rotations or []))


@pytest.fixture
def shop(fake_world: FakeWorld, web: WebServer) -> Shop:
    return Shop(fake_world, web)


def rootfs(text: bytes = b"hello") -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, content in (
            ("etc/motd", text),
            ("var/lib/dpkg/status", b"Package: bash\nStatus: install ok installed\nVersion: 5.2-15\n"),
        ):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def test_an_image_of_a_catalogue(shop: Shop) -> None:
    shop.add("tiny", rootfs())
    shop.publish()
    world = shop.world
    listed = world.json("image", "list", "--available")
    (entry,) = [one for one in listed["entries"] if one["name"] == "tiny"]
    assert (entry["catalogue"], entry["here"], entry["signer"]) == ("team", False, public_key(OLD).id)
    assert entry["size_bytes"] == len(rootfs())
    assert [one["error"] for one in listed["catalogues"]] == [None]
    assert b"tiny" in world.succeed("image", "list", "--available")
    world.succeed("image", "pull", "tiny", "-q")
    shown = world.json("image", "show", "tiny")
    assert shown["provenance"] == {
        "kind": "bundle",
        "reference": f"{shop.web.url}/tiny.tar",
        "digest": f"sha256:{hashlib.sha256(rootfs()).hexdigest()}",
        "catalogue": "team",
        "signer": public_key(OLD).id,
    }
    assert shown["packages"] == [{"name": "bash", "version": "5.2-15"}]
    assert b"bash" in world.succeed("image", "show", "tiny", "--packages")
    assert shop.web.url.encode() in world.succeed("image", "show", "tiny")
    before = len(shop.web.requests)
    world.succeed("image", "pull", "tiny", "-q")
    assert [path for path, _ in shop.web.requests[before:]] == ["/c.json"], "what is here is not fetched again"
    world.succeed("vm", "run", "-q", "-d", "--no-workspace", "--name", "box", "--image", "tiny")
    assert world.json("image", "list", "--available")["entries"][-1]["here"] is True


def test_a_new_version_of_an_entry_is_followed(shop: Shop) -> None:
    shop.add("tiny", rootfs())
    shop.publish()
    first = shop.world.json("image", "pull", "tiny")["digest"]
    shop.entries.clear()
    shop.add("tiny", rootfs(b"other"))
    shop.publish(version=2)
    assert shop.world.json("image", "pull", "tiny")["digest"] != first


@pytest.mark.parametrize("kind", ["image", "kernel"])
@pytest.mark.parametrize("bit", [0, 4111, -1])
def test_a_bundle_with_one_flipped_bit_is_refused(shop: Shop, kind: str, bit: int) -> None:
    good = rootfs() if kind == "image" else modules_tar({"vmlinuz": bzimage(), **modules()}).read()
    bad = bytearray(good)
    bad[bit // 8] ^= 1 << bit % 8
    shop.add("tiny", bytes(bad), kind=kind, said=good)
    shop.publish()
    done = shop.world.banger(kind, "pull", "tiny", "--json")
    error = json.loads(done.stdout)["error"]
    for content in (good, bytes(bad)):
        assert f"sha256:{hashlib.sha256(content).hexdigest()}" in error["summary"]
    assert [one["name"] for one in shop.world.json(kind, "list")[f"{kind}s"]] == ["fake"]


def test_a_bundle_in_the_cache_that_was_damaged_later(shop: Shop) -> None:
    shop.add("tiny", rootfs())
    shop.publish()
    world = shop.world
    world.succeed("image", "pull", "-q", "tiny")
    world.succeed("image", "delete", "tiny")
    (blob,) = Path(world.environment["XDG_CACHE_HOME"], "banger", "blobs", "blobs", "sha256").iterdir()
    damaged = bytearray(blob.read_bytes())
    damaged[700] ^= 1
    blob.chmod(0o600)
    blob.write_bytes(damaged)
    done = world.banger("image", "pull", "-q", "tiny")
    assert b"damaged" in done.stderr
    assert hashlib.sha256(rootfs()).hexdigest().encode() in done.stderr
    assert hashlib.sha256(damaged).hexdigest().encode() in done.stderr
    world.succeed("image", "pull", "-q", "tiny")


def test_a_kernel_of_a_catalogue(shop: Shop) -> None:
    shop.add("mine", modules_tar({"boot/vmlinuz": bzimage(), **modules()}).read(), kind="kernel")
    shop.publish()
    world = shop.world
    assert [one["name"] for one in world.json("kernel", "list", "--available")["entries"]][-1] == "mine"
    pulled = world.json("kernel", "pull", "mine")
    assert (pulled["release"], pulled["architecture"]) == ("6.1.0-test-amd64", "x86_64")
    shown = world.json("kernel", "show", "mine")
    assert shown["provenance"]["catalogue"] == "team"
    assert "virtio_blk" in shown["boot_modules"]
    assert b"virtio_blk" in world.succeed("kernel", "show", "mine")


def test_a_catalogue_that_is_not_believed(shop: Shop) -> None:
    shop.add("tiny", rootfs())
    shop.publish(NEW)
    world = shop.world
    done = world.banger("image", "pull", "tiny", "--json")
    error = json.loads(done.stdout)["error"]
    assert (done.returncode, error["kind"]) == (6, "denied")
    assert "signed by none of the keys" in error["summary"]
    listed = world.banger("image", "list", "--available")
    assert listed.returncode == 6
    assert b"debian-bookworm" in listed.stdout
    assert b"signed by none" in listed.stderr
    world.succeed("image", "pull", "debian-bookworm", "-q")


def test_an_older_catalogue_and_a_change_of_keys(shop: Shop) -> None:
    world = shop.world
    shop.publish(version=5)
    world.json("image", "list", "--available")
    shop.publish(version=4)
    assert b"version 5 was seen before" in world.banger("image", "list", "--available").stderr
    world.restart_daemon()
    assert b"version 5 was seen before" in world.banger("image", "list", "--available").stderr
    rotation = sign_rotation("team", 1, [str(public_key(NEW))], [OLD])
    shop.publish(NEW, version=6, rotations=[rotation])
    assert world.json("image", "list", "--available")["catalogues"][0]["signer"] == public_key(NEW).id
    shop.publish(OLD, version=7)
    assert b"signed by none" in world.banger("image", "list", "--available").stderr


def test_a_catalogue_that_cannot_be_reached(shop: Shop) -> None:
    shop.add("tiny", rootfs())
    shop.publish()
    world = shop.world
    world.json("image", "list", "--available")
    shop.web.pages["/c.json"] = Page(b"", status=404)
    done = world.banger("image", "list", "--available")
    assert done.returncode == 3
    assert b"there is nothing at" in done.stderr


def test_what_vms_use_is_not_removed(fake_world: FakeWorld, tmp_path: Path) -> None:
    (tmp_path / "bzImage").write_bytes(bzimage())
    (tmp_path / "config").write_text(CONFIG)
    (tmp_path / "rootfs.tar").write_bytes(rootfs())
    world = fake_world
    world.succeed(
        "kernel", "import", str(tmp_path / "bzImage"), "--name", "mine", "--config", str(tmp_path / "config"), "-q"
    )
    world.succeed("image", "import", str(tmp_path / "rootfs.tar"), "--name", "tiny", "-q")
    world.succeed("vm", "create", "box", "--no-start", "--image", "tiny", "--kernel", "mine")
    assert world.json("image", "show", "tiny")["vms"] == ["box"]
    assert world.json("vm", "show", "box")["kernel"] == "mine"
    assert world.json("vm", "show", "box")["origins"]["kernel"] == "flag"
    for words in (("image", "delete", "tiny"), ("kernel", "rm", "mine")):
        done = world.banger(*words)
        assert done.returncode == 5
        assert b"used by the VM box" in done.stderr
        assert b"banger vm delete box" in done.stderr
    world.succeed("vm", "delete", "box")
    assert world.succeed("image", "delete", "tiny") == b"tiny deleted\n"
    assert world.succeed("kernel", "rm", "mine") == b"mine deleted\n"
    done = world.banger("image", "delete", "tiny", "fake", "--json")
    assert done.returncode == 3
    first, second = json.loads(done.stdout)["outcomes"]
    assert (first["error"]["kind"], second["error"]) == ("not_found", None)
    assert world.banger("image", "show", "tiny").returncode == 3
    assert world.banger("kernel", "show", "mine").returncode == 3


def test_a_kernel_that_lacks_something(fake_world: FakeWorld, tmp_path: Path) -> None:
    (tmp_path / "bzImage").write_bytes(bzimage())
    (tmp_path / "config").write_text(CONFIG.replace("CONFIG_EROFS_FS=y\n", ""))
    done = fake_world.banger(
        "kernel", "import", str(tmp_path / "bzImage"), "--name", "mine", "--config", str(tmp_path / "config")
    )
    assert done.returncode == 7
    assert b"CONFIG_EROFS_FS" in done.stderr
    assert fake_world.banger("vm", "create", "--kernel", "mine").returncode == 2
    assert fake_world.banger("kernel", "import", str(tmp_path / "none"), "--name", "mine").returncode == 2
    taken = fake_world.banger("kernel", "import", str(tmp_path / "bzImage"), "--name", "fake")
    assert taken.returncode == 4


def test_an_image_says_what_its_vms_get(fake_world: FakeWorld) -> None:
    world = fake_world
    world.succeed("image", "pull", "example.org/team/app:1", "--size", "3GiB", "--kernel", "fake")
    shown = json.loads(world.succeed("image", "show", "app-1", "--json"))
    assert (shown["disk_bytes"], shown["kernel"]) == (3 << 30, "fake")
    # By its name, by its reference, and with a flag that wins.
    world.succeed("vm", "create", "a", "--no-start", "--image", "app-1")
    world.succeed("vm", "create", "b", "--no-start", "--image", "example.org/team/app:1")
    world.succeed("vm", "create", "c", "--no-start", "--image", "app-1", "--disk", "2GiB")
    of_image, by_reference, by_flag = (json.loads(world.succeed("vm", "show", name, "--json")) for name in "abc")
    assert of_image["disk_bytes"] == by_reference["disk_bytes"] == 3 << 30
    assert (of_image["origins"]["disk_bytes"], of_image["origins"]["kernel"]) == ("image", "image")
    assert (by_flag["disk_bytes"], by_flag["origins"]["disk_bytes"]) == (2 << 30, "flag")
    # What is not said again stays.
    world.succeed("image", "pull", "debian-bookworm", "--size", "4GiB")
    world.succeed("image", "pull", "debian-bookworm")
    assert json.loads(world.succeed("image", "show", "debian-bookworm", "--json"))["disk_bytes"] == 4 << 30
    assert world.banger("image", "pull", "--size", "1KiB").returncode == 2
    world.succeed("vm", "delete", "a", "b", "c")


def test_what_nothing_needs_is_pruned(shop: Shop) -> None:
    shop.add("tiny", rootfs())
    shop.add("other", rootfs(b"other"))
    shop.publish()
    world = shop.world
    cache = Path(world.environment["XDG_CACHE_HOME"], "banger")
    for name in ("tiny", "other"):
        world.succeed("image", "pull", "-q", name)
    world.succeed("vm", "create", "box", "--no-start", "--image", "other")
    partial = cache / "blobs" / "partial" / ("sha256-" + "c" * 64)
    partial.write_bytes(b"half")
    old = world.json("image", "show", "other")["digest"]
    shop.entries.clear()
    shop.add("other", rootfs(b"newer"))
    shop.publish(version=2)
    world.succeed("image", "pull", "-q", "other")
    world.succeed("image", "delete", "tiny")
    dry = world.json("image", "cache", "prune", "--dry-run")
    assert (dry["blobs"], dry["images"]) == (2, 0), "a VM boots the older image, a partial of today is kept"
    assert dry["freed_bytes"] == len(rootfs()) + len(rootfs(b"other"))
    os.utime(partial, (0, 0))
    world.succeed("vm", "delete", "box")
    os.utime(cache / "images" / "sha256" / old.removeprefix("sha256:"), (0, 0))
    dry = world.json("image", "cache", "prune", "--dry-run")
    assert (dry["blobs"], dry["images"]) == (3, 1)
    assert b"would free" in world.succeed("image", "cache", "prune", "--dry-run")
    assert world.succeed("image", "cache", "prune").endswith(b"3 downloads, 1 image\n")
    assert world.json("image", "cache", "prune")["freed_bytes"] == 0
    assert not partial.exists()
    world.succeed("image", "pull", "-q", "other")
    assert [one["name"] for one in world.json("image", "list")["images"]] == ["fake", "other"]


@pytest.mark.parametrize(("kind", "delete"), [("image", "delete"), ("kernel", "rm")])
def test_a_name_may_mean_one_for_each_platform(fake_world: FakeWorld, tmp_path: Path, kind: str, delete: str) -> None:
    world = fake_world
    (tmp_path / "config").write_text(CONFIG)
    for platform, kernel in (("linux/amd64", bzimage()), ("linux/arm64", arm64_image())):
        file = tmp_path / "file"
        file.write_bytes(kernel if kind == "kernel" else bytes(1080) + b"\x53\xef" + platform.encode() + bytes(3000))
        words = ("--config", str(tmp_path / "config")) if kind == "kernel" else ("--platform", platform)
        world.succeed(kind, "import" if kind == "kernel" else "register", str(file), "--name", "mine", "-q", *words)
    shown = {
        platform: world.json(kind, "show", "mine", "--platform", platform)
        for platform in ("linux/amd64", "linux/arm64")
    }
    assert [one["architecture"] for one in shown.values()] == ["x86_64", "aarch64"]
    assert world.json(kind, "show", "mine") == shown[name_platform(host_architecture())]
    assert world.banger(kind, "show", "mine", "--platform", "linux/s390x").returncode == 2
    world.succeed(kind, delete, "mine", "--platform", "linux/arm64", "-q")
    for verb in ("show", delete):
        done = world.banger(kind, verb, "mine", "--platform", "linux/arm64")
        assert (done.returncode, b"for linux/arm64" in done.stderr) == (3, True)
    assert world.json(kind, "show", "mine", "--platform", "linux/amd64")["architecture"] == "x86_64"


def test_a_bill_of_materials(fake_world: FakeWorld, tmp_path: Path) -> None:
    world = fake_world
    for name, files in {
        "fedora": {
            "usr/lib/sysimage/rpm/rpmdb.sqlite": database(tmp_path / "db", [header("bash", "5.2", "3", epoch=1)]),
            "etc/os-release": b"ID=fedora\n",
        },
        "distroless": {"var/lib/dpkg/status.d/libc6": b"Package: libc6\nVersion: 2.36-9\n"},
        "suse": {"usr/lib/sysimage/rpm/Packages.db": b"RpmP"},
        "empty": {"etc/motd": b""},
    }.items():
        with tarfile.open(tmp_path / f"{name}.tar", "w") as tar:
            for path, content in files.items():
                info = tarfile.TarInfo(path)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
        world.succeed("image", "import", str(tmp_path / f"{name}.tar"), "--name", name, "-q")
    assert world.json("image", "show", "fedora")["packages"] == [{"name": "bash", "version": "1:5.2-3"}]
    document = json.loads(world.succeed("image", "show", "fedora", "--sbom"))
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.5")
    assert [one["purl"] for one in document["components"]] == ["pkg:rpm/fedora/bash@5.2-3?epoch=1"]
    assert world.json("image", "show", "distroless")["packages"] == [{"name": "libc6", "version": "2.36-9"}]
    for name, why in (("suse", b"ndb"), ("empty", b"no package manager")):
        assert world.json("image", "show", name)["packages"] is None
        assert why in world.succeed("image", "show", name)
        assert why in world.banger("image", "show", name, "--packages").stderr
        assert why in world.succeed("image", "show", name, "--sbom")
