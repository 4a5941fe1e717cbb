"""The same layers in the hands of `umoci unpack`, as root, and in ours: the trees are equal, times and links included."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from tests.contract.umoci_world import Facts, UmociImage, check_equal, describe_directory, describe_image
from tests.hostile.archives import END, directory, file, hard_link, pax, record, symlink

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0 or shutil.which("umoci") is None, reason="needs root and umoci"),
    pytest.mark.timeout(600),
]

CAPABILITY = bytes.fromhex("0100000200200000000000000000000000000000")


@pytest.fixture
def image(tmp_path: Path) -> UmociImage:
    return UmociImage(tmp_path)


def compare(image: UmociImage, tmp_path: Path, *, times_unknown: tuple[bytes, ...] = ()) -> int:
    """Raises `AssertionError` for the first path that differs; how many paths there are."""
    expected = describe_directory(image.unpack(tmp_path / "compared"))
    check_equal(expected, describe_image(image.write(tmp_path / "image")), times_unknown=times_unknown)
    return len(expected)


def make_root(root: Path) -> None:
    """One of everything that a file system can hold."""
    for name in ("etc", "dev", "usr/bin", "var/empty", f"deep/{'d/' * 40}", "many"):
        (root / name).mkdir(parents=True)
    (root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    (root / "etc/shadow").write_text("root:*::\n")
    (root / "etc/shadow").chmod(0o640)
    os.chown(root / "etc/shadow", 0, 42)
    (root / "usr/bin/su").write_bytes(b"\x7fELF" + os.urandom(9000))
    os.chown(root / "usr/bin/su", 12_345, 70_000)
    (root / "usr/bin/su").chmod(0o6755)
    (root / "usr/bin/ping").write_bytes(b"ping")
    os.setxattr(root / "usr/bin/ping", "security.capability", CAPABILITY)
    os.setxattr(root / "etc/passwd", "user.note", b"\0\xff\n=")
    os.setxattr(root / "etc", "trusted.note", b"t")
    (root / "var/empty").chmod(0o1777)
    (root / "bin").symlink_to("usr/bin")
    (root / "dangling").symlink_to("../../../nothing/here")
    os.link(root / "usr/bin/su", root / "usr/bin/sudo")
    os.link(root / "dangling", root / "etc/dangling")
    os.mkfifo(root / "dev/fifo", 0o600)
    os.mknod(root / "dev/null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mknod(root / "dev/far", stat.S_IFBLK | 0o660, os.makedev(259, 300_001))
    for number in range(300):
        (root / f"many/{number:04d}").write_bytes(b"%d" % number * number)
    with open(os.fsencode(root) + b"/odd \xff\n name", "wb") as odd:
        odd.write(b"odd")
    (root / ("long" * 60)).write_text("long")
    os.utime(root / "etc/passwd", ns=(0, 1_234_567_890_123_456_789))
    os.utime(root / "many", ns=(0, 1_000_000_000_000_000_001))


def pack(root: Path, archive: Path, *options: str) -> Path:
    attributes = () if "--format=gnu" in options else ("--xattrs", "--xattrs-include=*")
    command = ["tar", "--create", f"--file={archive}", *attributes, *options, f"--directory={root}", "."]
    subprocess.run(command, check=True)
    return archive


@pytest.mark.parametrize("tar_format", ["pax", "gnu"])
def test_what_gnu_tar_writes(tar_format: str, image: UmociImage, tmp_path: Path) -> None:
    make_root(tmp_path / "root")
    options = ["--format=pax"] if tar_format == "pax" else ["--format=gnu"]
    image.add_layer(pack(tmp_path / "root", tmp_path / "root.tar", *options))
    assert compare(image, tmp_path) > 350


@pytest.mark.parametrize("version", ["gnu", "0.0", "0.1", "1.0"])
def test_sparse_files(version: str, image: UmociImage, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    with (root / "holes").open("wb") as holes:
        for place in (4096, 20_000, 1 << 20, (1 << 20) + 8192, 3_000_001):
            holes.seek(place)
            holes.write(b"data at %d" % place)
        holes.truncate(4_000_000)
    for name, size in (("all hole", 1 << 20), ("a little", 8192)):
        with (root / name).open("wb") as file:
            file.truncate(size)
    with (root / "many pieces").open("wb") as file:
        for place in range(0, 60 * 8192, 8192):
            file.seek(place)
            file.write(b"x" * 4096)
    options = ("--format=gnu",) if version == "gnu" else ("--format=pax", f"--sparse-version={version}")
    image.add_layer(pack(root, tmp_path / "root.tar", "--sparse", "--hole-detection=seek", *options))
    if version == "gnu":  # umoci does not know this type
        check_equal(seconds(describe_directory(root)), describe_image(image.write(tmp_path / "image")))
    else:
        assert compare(image, tmp_path) == 5


def seconds(facts: Facts) -> Facts:
    """With the times that archives of GNU tar's own format hold."""
    return {path: replace(fact, mtime_ns=fact.mtime_ns // 10**9 * 10**9) for path, fact in facts.items()}


# Each is a layer of its own, with the whiteouts and links that umoci writes for it.
CHANGES = (
    "rm etc/passwd; rm -r deep; echo changed >many/0007",
    "mv usr/bin/su usr/bin/moved; ln usr/bin/ping usr/bin/ping6; chmod 700 var/empty",
    "chown 5:6 many; rm many/0008; mkdir many/0008; rm bin; mkdir bin; echo new >bin/new",
    "rmdir var/empty; ln -s /tmp var/empty; mknod dev/zero c 1 5; rm many/01*; touch -d @5 etc/shadow",
    "rm -r many; mkdir many; echo 1 >many/one; rm -r bin; ln -s usr/bin bin",
)


def test_layers_that_umoci_makes_of_changes(image: UmociImage, tmp_path: Path) -> None:
    make_root(tmp_path / "root")
    image.add_layer(pack(tmp_path / "root", tmp_path / "root.tar", "--format=pax"))
    for number, change in enumerate(CHANGES):
        bundle = tmp_path / f"bundle-{number}"
        root = image.unpack(bundle)
        os.setxattr(root / "etc", "user.note", b"%d" % number)
        subprocess.run(["sh", "-ec", change], cwd=root, check=True)
        image.repack(bundle)
        shutil.rmtree(bundle)
    assert len(image.layers()) == 1 + len(CHANGES)
    assert compare(image, tmp_path) > 20


BY_HAND: dict[str, list[list[bytes]]] = {
    "through links": [
        [directory(b"etc"), symlink(b"l", b"/etc"), symlink(b"up", b"../../../etc"), file(b"l/a", b"1")],
        [file(b"up/b", b"2"), file(b"l/.wh.a"), hard_link(b"c", b"l/b")],
    ],
    "opaque": [
        [directory(b"d"), file(b"d/old"), directory(b"d/e"), file(b"d/e/old"), directory(b"f"), file(b"f/old")],
        [directory(b"d"), file(b"d/.wh..wh..opq"), directory(b"d/e"), file(b"d/e/new"), file(b"f/.wh..wh..opq")],
        [directory(b"d"), file(b"d/e/newer", b"1"), file(b"d/last"), file(b"d/.wh..wh..opq")],
    ],
    "type changes": [
        [directory(b"a"), file(b"a/f"), file(b"b", b"1"), symlink(b"c", b"b"), directory(b"d")],
        [file(b"a", b"2"), directory(b"b"), file(b"b/f"), directory(b"c"), symlink(b"d", b"c")],
        [file(b"d/through", b"3"), file(b".wh.a"), file(b"c/f", b"4")],
    ],
    "the same name twice": [[file(b"a", b"1"), file(b"a", b"22"), directory(b"d"), directory(b"d", b"0000700\0")]],
    "hard links across layers": [
        [file(b"a", b"1"), hard_link(b"b", b"a"), hard_link(b"c", b"a")],
        [file(b"b", b"own"), hard_link(b"d", b"c"), file(b".wh.a")],
    ],
    "attributes": [
        [
            pax(record(b"SCHILY.xattr.user.a", b"1"), record(b"SCHILY.xattr.user.b", b"2")) + directory(b"d"),
            pax(record(b"SCHILY.xattr.security.capability", CAPABILITY)) + file(b"d/f"),
            pax(record(b"SCHILY.xattr.security.selinux", b"system_u:object_r:etc_t:s0\0")) + file(b"d/labelled"),
            pax(record(b"SCHILY.xattr.trusted.overlay.opaque", b"y")) + directory(b"d/opaque"),
        ],
        [pax(record(b"SCHILY.xattr.user.b", b"3")) + directory(b"d"), file(b"d/f", b"again")],
    ],
}


@pytest.mark.parametrize("name", BY_HAND)
def test_layers_by_hand(name: str, image: UmociImage, tmp_path: Path) -> None:
    for number, members in enumerate(BY_HAND[name]):
        archive = tmp_path / f"{number}.tar"
        archive.write_bytes(b"".join(members) + END)
        image.add_layer(archive)
    compare(image, tmp_path, times_unknown=(b"d/e",) if name == "opaque" else ())
