"""Importing archives, editing the default image, and the store's view of both. The tree is the disk room's own."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import pytest

from banger.core.errors import Invalid, Unsupported
from banger.core.progress import Progress
from banger.disk.paths import find
from banger.disk.rootfs import ArchiveTree, LayerTree
from banger.image.debian_dev import DEV_IMAGES
from banger.image.distribution import edit
from banger.image.importing import import_archive, parse_architecture
from banger.image.recipe import IMAGES, ON_DEMAND, fingerprint, masked_units
from banger.image.store import Image, ImageStore

X86_64 = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\0\x3e\0" + bytes(40)
AARCH64 = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\0\xb7\0" + bytes(40)


def make_archive(members: dict[str, bytes | str]) -> io.BytesIO:
    """Bytes are a file's content, text is a symbolic link's target."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.mode = 0o755
            if isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
                archive.addfile(info)
            else:
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    buffer.seek(0)
    return buffer


def import_tar(
    store: ImageStore,
    name: str,
    source: BinaryIO,
    *,
    architecture: str | None = None,
    report: Callable[[Progress], None] = lambda _progress: None,
) -> Image:
    return import_archive(
        store,
        name,
        source,
        read_rootfs=ArchiveTree,
        read_layers=LayerTree,
        tag=None,
        architecture=architecture,
        report=report,
    )


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return ImageStore(tmp_path / "images")


def test_an_imported_archive_is_an_image(store: ImageStore, tmp_path: Path) -> None:
    told: list[Progress] = []
    source = make_archive({"bin/busybox": X86_64, "bin/sh": "busybox", "etc/x": b"x" * 5000})
    image = import_tar(store, "bb", source, report=told.append)
    assert image == store.find("bb") == store.read(image.digest)
    assert (image.init, image.architecture, image.root_fs, image.source) == (
        None,
        "x86_64",
        "erofs",
        "imported archive",
    )
    assert image.packages is None
    assert image.rootfs.stat().st_size == image.size_bytes
    assert [other.name for other in store.list()] == ["bb"]
    assert told[-1].done == told[-1].total == 5000 + len(X86_64)
    store.verify(image)
    assert list((tmp_path / "images" / "drafts").iterdir()) == []
    assert store.remove("bb", in_use=frozenset()) is True
    assert store.find("bb") is None


def test_the_same_archive_is_the_same_image(store: ImageStore) -> None:
    members: dict[str, bytes | str] = {"bin/sh": X86_64, "a": b"1"}
    images = [import_tar(store, "same", make_archive(members)) for _ in range(2)]
    assert images[0].digest == images[1].digest


@pytest.mark.parametrize(
    ("members", "init"),
    [
        (
            {"usr/lib/systemd/systemd": X86_64, "lib": "usr/lib", "sbin/init": "/lib/systemd/systemd"},
            "/usr/lib/systemd/systemd",
        ),
        ({"lib/systemd/systemd": X86_64}, "/lib/systemd/systemd"),
        ({"bin/busybox": X86_64, "sbin/init": "/bin/busybox"}, None),
        ({"sbin/init": "/nowhere"}, None),
        ({"sbin/init": "init"}, None),
        ({"sbin/init": "../../../../lib/systemd/systemd", "lib/systemd/systemd": X86_64}, "/lib/systemd/systemd"),
    ],
)  # fmt: skip
def test_which_init_takes_over(store: ImageStore, members: dict[str, bytes | str], init: str | None) -> None:
    image = import_tar(store, "i", make_archive(members))
    assert image.init == init


def test_an_archive_for_other_machines_is_refused(store: ImageStore) -> None:
    riscv = AARCH64.replace(b"\xb7", b"\xf3")
    with pytest.raises(Unsupported, match="riscv64"):
        import_tar(store, "new", make_archive({"bin/sh": riscv}))
    with pytest.raises(Invalid, match="for aarch64, and x86_64 was asked for") as caught:
        import_tar(store, "arm", make_archive({"bin/sh": AARCH64}), architecture="x86_64")
    assert caught.value.hint == "give an archive for x86_64, or --platform linux/arm64"


def test_an_archive_says_itself_what_it_is_for(store: ImageStore) -> None:
    native = import_tar(store, "i", make_archive({"bin/sh": X86_64}))
    foreign = import_tar(store, "i", make_archive({"bin/sh": AARCH64}))
    assert (native.architecture, foreign.architecture) == ("x86_64", "aarch64")
    assert {image.digest for image in store.list()} == {native.digest, foreign.digest}
    silent = import_tar(store, "s", make_archive({"etc/x": b"x"}), architecture="aarch64")
    assert silent.architecture == "aarch64"


@pytest.mark.parametrize("data", [b"", b"no archive " * 100, bytes(10240), b"\x1f\x8b" + bytes(1000)])
def test_what_is_no_archive_leaves_nothing(store: ImageStore, tmp_path: Path, data: bytes) -> None:
    with pytest.raises(Invalid):
        import_tar(store, "x", io.BytesIO(data))
    assert store.list() == []
    assert list((tmp_path / "images" / "drafts").iterdir()) == []


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (X86_64[:20], "x86_64"),
        (AARCH64, "aarch64"),
        (X86_64[:19], None),
        (b"#!/bin/sh" + bytes(20), None),
        (b"\x7fELF\x02\x02\x01" + bytes(9) + b"\0\x02\0\x15", "unknown"),
        (b"\x7fELF\x02\x02\x01" + bytes(9) + b"\0\x02\x3e\0", "unknown"),
    ],
)
def test_architectures(head: bytes, expected: str | None) -> None:
    assert parse_architecture(head) == expected


def test_the_default_image_is_nobodys_in_particular() -> None:
    source = make_archive(
        {
            "bin/sh": X86_64,
            "etc/hostname": b"builder\n",
            "etc/resolv.conf": b"nameserver 192.0.2.1\n",
            "etc/machine-id": b"0123456789abcdef\n",
            "etc/ssh/ssh_host_ed25519_key": b"secret",
            "etc/ssh/sshd_config": b"kept",
            "etc/apt/sources.list": b"deb http://user:password@mirror.example bookworm main\n",
            "etc/apt/sources.list.d/0.list": b"deb http://user:password@mirror.example bookworm main\n",
            "etc/apt/apt.conf.d/99mmdebstrap": b'Acquire::http::Proxy "http://user:password@proxy.example";\n',
            "etc/shadow": b"root:*:19000::::::\n",
            "var/lib/apt/lists/mirror.example_dists": b"list",
            "var/cache/apt/pkgcache.bin": b"cache",
            "var/log/dpkg.log": b"log",
            "var/log/apt/term.log": b"log",
            "etc/modules-load.d/modules.conf": "../modules",
            "var/lib/dbus/machine-id": "/etc/machine-id",
        }
    )
    tree = ArchiveTree(source)
    edit(tree, IMAGES["x86_64"])
    names = tree.names()
    assert not any(b"password" in tree.read(name) or b"builder" in tree.read(name) for name in names)
    assert tree.read("etc/machine-id") == b""
    assert "etc/ssh/sshd_config" in names
    assert "etc/shadow" in names
    assert "deb.debian.org" in tree.read("etc/apt/sources.list").decode()
    for gone in ("etc/hostname", "etc/resolv.conf", "etc/ssh/ssh_host_ed25519_key", "var/log/dpkg.log"):
        assert gone not in names
    assert not any(name.startswith(("var/cache/apt", "var/lib/apt/lists")) for name in names)

    # Directories of packages stay, with their owners; only what was written in them goes.
    assert find(tree.tree, b"var/log/apt") is not None
    assert find(tree.tree, b"var/lib/apt/lists") is not None
    on_demand = [f"{target}.wants/{unit}" for target, unit in ON_DEMAND]
    for unit in (*masked_units(IMAGES["x86_64"]), *on_demand):
        inode = find(tree.tree, f"etc/systemd/system/{unit}".encode())
        assert inode is not None
        assert tree.tree.target(inode) == b"/dev/null"


@pytest.mark.parametrize("complete", [True, False])
def test_the_image_for_developers_with_and_without_its_download(complete: bool) -> None:
    wanted = DEV_IMAGES["x86_64"]
    there = wanted if complete else replace(wanted, downloads=())
    enabled = {f"etc/systemd/system/{unit}": "/lib/systemd/system/x" for unit in wanted.disabled}
    tree = ArchiveTree(make_archive({"bin/sh": X86_64, "etc/systemd/system/x.service": b"", **enabled}))
    edit(tree, there)
    assert ("etc/profile.d/mise.sh" in tree.names()) == complete
    assert "etc/profile.d/banger.sh" in tree.names()
    assert [unit for unit in enabled if find(tree.tree, unit.encode()) is not None] == []
    # What was made without it is not what is asked for the next time.
    assert (fingerprint(there) == fingerprint(wanted)) == complete
