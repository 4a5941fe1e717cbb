"""What the agent archives, read by the strict reader of archives and by GNU tar, is what is there."""

from __future__ import annotations

import io
import os
import socket
import stat
import subprocess
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path

import pytest
from tests.contract.test_agent import connected

from banger.core.errors import Failed, Invalid, NotFound
from banger.disk.paths import walk
from banger.disk.rootfs import ArchiveTree
from banger.disk.tree import Tree
from banger.guest.archive import ArchiveRequest

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="owners and devices are made by root only")
LONG = "n" * 200


async def archive(root: Path, *, emptied: tuple[str, ...] = (), of_image: tuple[str, ...] = ()) -> bytes:
    asked = ArchiveRequest(root=str(root), emptied=emptied, of_image=of_image)
    async with connected() as channel, aclosing(channel.get_archive(asked)) as pieces:
        return b"".join([piece async for piece in pieces])


def make_everything(root: Path) -> None:
    """One of each thing that a file system can hold."""
    (root / "directory" / "empty").mkdir(parents=True)
    (root / "directory").chmod(0o2751)
    file = root / "directory" / "file"
    file.write_bytes(os.urandom(300_001))
    os.chown(file, 3_000_000_000, 70_000)
    file.chmod(0o6755)
    os.utime(file, ns=(0, 1_600_000_000_123_456_789))
    os.setxattr(file, "user.with=and%", b"value\n\0end")
    os.setxattr(file, "trusted.secret", b"t")
    (root / "second").hardlink_to(file)
    (root / "none").touch()
    os.utime(root / "none", ns=(0, -1_250_000_000))
    (root / "link").symlink_to("directory/file")
    (root / "long link").symlink_to("x/" * 1000)
    (root / LONG / LONG).mkdir(parents=True)
    (root / LONG / LONG / "deep").write_text("deep")
    Path(os.fsdecode(bytes(root) + b"/odd \xff\n name")).write_text("odd")
    os.mkfifo(root / "fifo")
    os.mknod(root / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mknod(root / "whiteout", stat.S_IFCHR, os.makedev(0, 0))
    os.mknod(root / "block", stat.S_IFBLK | 0o600, os.makedev(4095, 1_048_575))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(root / "socket"))


def describe(tree: Tree) -> dict[bytes, tuple[object, ...]]:
    """Everything that a tree says, by path."""
    numbers: dict[int, bytes] = {}
    found: dict[bytes, tuple[object, ...]] = {}
    for path, inode in walk(tree):
        node = tree.node(inode)
        first = numbers.setdefault(inode, path)
        content = tree.body(inode).read() if stat.S_ISREG(node.mode) else tree.target(inode) if node.is_symlink else b""
        found[path] = (
            *(oct(node.mode), node.uid, node.gid, node.mtime_s, node.mtime_ns, node.device),
            *(dict(node.xattrs or {}), content, first),
        )
    return found


def describe_directory(root: Path) -> dict[bytes, tuple[object, ...]]:
    numbers: dict[int, bytes] = {}
    found: dict[bytes, tuple[object, ...]] = {}
    paths = [b""]
    for directory, directories, files in os.walk(bytes(root)):
        directories.sort()
        paths += [os.path.relpath(os.path.join(directory, name), bytes(root)) for name in (*directories, *files)]
    for path in sorted(paths):
        full = os.path.join(bytes(root), path)
        status = os.lstat(full)
        if stat.S_ISSOCK(status.st_mode):
            continue
        content = b""
        if stat.S_ISREG(status.st_mode):
            content = Path(os.fsdecode(full)).read_bytes()
        elif stat.S_ISLNK(status.st_mode):
            content = os.readlink(full)
        mode = status.st_mode | (0o777 if stat.S_ISLNK(status.st_mode) else 0)
        device = os.major(status.st_rdev), os.minor(status.st_rdev)
        names = os.listxattr(full, follow_symlinks=False)
        xattrs = {os.fsencode(name): os.getxattr(full, name, follow_symlinks=False) for name in names}
        first = numbers.setdefault(status.st_ino, path)
        seconds, nanoseconds = divmod(status.st_mtime_ns, 10**9)
        found[path] = (
            *(oct(mode), status.st_uid, status.st_gid, seconds, nanoseconds, device),
            *(xattrs, content, first),
        )
    return found


def read(content: bytes) -> ArchiveTree:
    return ArchiveTree(io.BytesIO(content))


async def test_everything_comes_as_it_is(tmp_path: Path) -> None:
    make_everything(tmp_path)
    tree = read(await archive(tmp_path)).tree
    found, expected = describe(tree), describe_directory(tmp_path)
    # Which name of a file comes first is the directory's order.
    links = {found[b"second"][-1], found[b"directory/file"][-1]}
    assert len(links) == 1
    for name in (b"second", b"directory/file"):
        found[name] = found[name][:-1]
        expected[name] = expected[name][:-1]
    assert found == expected


async def test_gnu_tar_reads_it_too(tmp_path: Path) -> None:
    (tmp_path / "from").mkdir()
    (tmp_path / "to").mkdir()
    make_everything(tmp_path / "from")
    (tmp_path / "from" / "fifo").unlink()
    content = await archive(tmp_path / "from")
    unpack = ["tar", "-x", "-p", "--xattrs", "--xattrs-include=*", "--numeric-owner", "-C", str(tmp_path / "to")]
    subprocess.run(unpack, input=content, check=True)
    (tmp_path / "from" / "socket").unlink()
    compare = subprocess.run(
        ["diff", "--recursive", "--no-dereference", "from", "to"], cwd=tmp_path, capture_output=True, check=False
    )
    assert b"differ" not in compare.stdout, compare.stdout


def truncate(size: int) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        path.touch()
        os.truncate(path, size)

    return make


def with_holes(path: Path) -> None:
    with path.open("wb") as file:
        for number in (1, 5, 9):
            file.seek(number << 20)
            file.write(b"%d" % number * 5000)
        file.truncate(20 << 20)


@pytest.mark.parametrize("make", [truncate(5 << 30), truncate(100_000), with_holes], ids=["huge", "small", "pieces"])
async def test_holes_are_not_sent(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "sparse")
    content = await archive(tmp_path)
    assert len(content) < 1 << 20
    tree = read(content).tree
    inode = next(inode for path, inode in walk(tree) if path == b"sparse")
    assert tree.size(inode) == (tmp_path / "sparse").stat().st_size
    with (tmp_path / "sparse").open("rb") as file:
        expected = file.read(20 << 20)
    assert tree.body(inode).read(20 << 20) == expected


async def test_what_is_left_out(tmp_path: Path) -> None:
    for name in ("tmp", "keep/inner", "run"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "file").write_text("x")
    (tmp_path / "run" / "hostname").write_text("box")
    tree = read(await archive(tmp_path, emptied=("tmp", "run"), of_image=("keep/inner/file", "missing"))).tree
    assert {path for path, _ in walk(tree)} == {b"", b"tmp", b"run", b"keep", b"keep/inner"}


async def test_what_cannot_be_archived(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotFound):
        await archive(tmp_path / "missing")
    with pytest.raises((Failed, NotFound)):
        await archive(tmp_path / "file")
    with pytest.raises(Invalid):
        await archive(Path("relative"))


async def test_ten_thousand_hard_links(tmp_path: Path) -> None:
    for number in range(500):
        (tmp_path / str(number)).write_text(str(number))
        for copy in range(9):
            (tmp_path / f"{number}-{copy}").hardlink_to(tmp_path / str(number))
    tree = read(await archive(tmp_path)).tree
    files = {path: inode for path, inode in walk(tree) if path}
    assert len(files) == 5000
    assert len(set(files.values())) == 500
    assert all(files[path] == files[path.partition(b"-")[0]] for path in files)
