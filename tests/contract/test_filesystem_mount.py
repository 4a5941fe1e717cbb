"""What the kernel makes of an image that our writer wrote. Needs root and loop devices."""

from __future__ import annotations

import os
import stat
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from banger.disk.rootfs import ArchiveTree

LONG = "n" * 180


def can_mount() -> bool:
    try:
        return (
            os.geteuid() == 0 and "\terofs\n" in Path("/proc/filesystems").read_text() and Path("/dev/loop0").exists()
        )
    except OSError:
        return False


pytestmark = pytest.mark.skipif(not can_mount(), reason="needs root, loop devices and a kernel with EROFS")


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A tar as GNU tar makes it of a directory with one of everything."""
    root = tmp_path / "root"
    for directory in ("etc", "dev", f"deep/{'d/' * 40}", "many", "wide"):
        (root / directory).mkdir(parents=True)
    (root / "etc" / "passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    (root / "etc" / "empty").touch()
    (root / "big").write_bytes(os.urandom(3_000_001))
    (root / "exact").write_bytes(os.urandom(8192))
    (root / "etc" / "setuid").write_bytes(b"#!" * 1000)
    os.chown(root / "etc" / "setuid", 12345, 4_000_000_000)
    (root / "etc" / "setuid").chmod(0o6755)
    (root / "sticky").mkdir()
    (root / "sticky").chmod(0o1777)
    (root / "link").symlink_to("../../etc/passwd")
    (root / "long link").symlink_to("x/" * 2000)
    os.link(root / "big", root / "many" / "hard")
    os.mkfifo(root / "dev" / "fifo")
    os.mknod(root / "dev" / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mknod(root / "dev" / "far", stat.S_IFBLK | 0o660, os.makedev(259, 300_001))
    for number in range(1500):
        (root / "wide" / f"{number:04d}{LONG}").write_bytes(b"%d" % number)
    odd = os.fsencode(root) + b"/odd \xff\n name"
    with open(odd, "wb") as file:
        file.write(b"odd")
    os.setxattr(root / "etc" / "empty", "user.note", b"a\0b" * 50)
    os.setxattr(root / "etc" / "empty", "trusted.secret", b"")
    os.setxattr(
        root / "etc" / "setuid", "security.capability", bytes.fromhex("0100000200200000000000000000000000000000")
    )
    os.setxattr(root / "link", "trusted.link", b"l", follow_symlinks=False)
    os.utime(root / "exact", ns=(0, 1_234_567_890_123_456_789))
    os.utime(root / "etc" / "passwd", ns=(0, -1_500_000_000))
    target = tmp_path / "root.tar"
    command = [
        "tar",
        "--create",
        f"--file={target}",
        "--format=pax",
        "--xattrs",
        "--xattrs-include=*",
        f"--directory={root}",
        ".",
    ]
    subprocess.run(command, check=True)
    return target


@pytest.fixture
def mounted(archive: Path, tmp_path: Path) -> Iterator[Path]:
    with archive.open("rb") as source:
        ArchiveTree(source).write_image(tmp_path / "image.erofs", lambda _bytes: None)
    target = tmp_path / "mounted"
    target.mkdir()
    subprocess.run(["mount", "-t", "erofs", "-o", "loop,ro", tmp_path / "image.erofs", target], check=True)
    try:
        yield target
    finally:
        subprocess.run(["umount", target], check=True)


def test_the_mounted_image_is_the_archived_directory(mounted: Path, tmp_path: Path) -> None:
    expected, found = describe(os.fsencode(tmp_path / "root")), describe(os.fsencode(mounted))
    assert found.keys() == expected.keys()
    for path, facts in expected.items():
        assert found[path] == facts, path


def test_names_are_found_by_looking_them_up(mounted: Path) -> None:
    """Reading a directory proves the entries, opening a name the order that the kernel searches in."""
    for number in range(0, 1500, 7):
        assert (mounted / "wide" / f"{number:04d}{LONG}").read_bytes() == b"%d" % number
    assert not (mounted / "wide" / "0000").exists()
    assert (mounted / "many" / "..").samefile(mounted)
    assert (mounted / "big").stat().st_ino == (mounted / "many" / "hard").stat().st_ino


def test_tarfile_agrees_about_the_archive(mounted: Path, archive: Path) -> None:
    """A reader that is not ours, so that archive and directory cannot be wrong in the same way."""
    with tarfile.open(archive) as reference:
        for member in reference:
            if member.isfile():
                content = reference.extractfile(member)
                assert content is not None
                path = os.fsencode(mounted) + b"/" + member.name.encode("utf-8", "surrogateescape")
                with open(path, "rb") as file:
                    assert file.read() == content.read()


def describe(root: bytes) -> dict[bytes, tuple[object, ...]]:
    found: dict[bytes, tuple[object, ...]] = {}
    pending = [root]
    while pending:
        path = pending.pop()
        status = os.lstat(path)
        content = b""
        if stat.S_ISDIR(status.st_mode):
            pending += [entry.path for entry in os.scandir(path)]
        elif stat.S_ISREG(status.st_mode):
            with open(path, "rb") as file:
                content = file.read()
        elif stat.S_ISLNK(status.st_mode):
            content = os.readlink(path)
        xattrs = {
            name: os.getxattr(path, name, follow_symlinks=False) for name in os.listxattr(path, follow_symlinks=False)
        }
        found[path[len(root) :]] = (
            status.st_mode,
            status.st_uid,
            status.st_gid,
            status.st_mtime_ns,
            status.st_nlink,
            0 if stat.S_ISDIR(status.st_mode) else status.st_size,
            status.st_rdev,
            xattrs,
            content,
        )
    return found
