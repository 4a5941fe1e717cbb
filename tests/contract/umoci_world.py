"""Images in OCI layouts of umoci's, and the trees that umoci and banger make of them, in the same words."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.erofs_reader import read_erofs

from banger.core.layers import Layer
from banger.disk.rootfs import LayerTree

Facts = dict[bytes, "Fact"]


@dataclass(frozen=True)
class Fact:
    """What is at a path. `names` are all names of the same inode; times are in nanoseconds."""

    mode: int
    uid: int
    gid: int
    mtime_ns: int
    device: int
    xattrs: tuple[tuple[bytes, bytes], ...]
    content: bytes
    names: frozenset[bytes]


class UmociImage:
    """One image in a layout of its own."""

    def __init__(self, root: Path) -> None:
        self._layout = root / "layout"
        self._root = root
        self._image = f"{self._layout}:image"
        umoci("init", "--layout", self._layout)
        umoci("new", "--image", self._image)

    def add_layer(self, archive: Path) -> None:
        umoci("raw", "add-layer", "--image", self._image, archive)

    def unpack(self, bundle: Path) -> Path:
        """The root file system as umoci makes it, in a directory that `repack` takes."""
        umoci("unpack", "--image", self._image, bundle)
        return bundle / "rootfs"

    def repack(self, bundle: Path) -> None:
        """Make what was changed in a bundle a layer."""
        umoci("repack", "--image", self._image, bundle)

    def layers(self) -> list[Layer]:
        manifest = self._read(json.loads((self._layout / "index.json").read_bytes())["manifests"][0]["digest"])
        diff_ids = self._read(manifest["config"]["digest"])["rootfs"]["diff_ids"]
        return [
            self._layer(layer["mediaType"], layer["digest"], layer["size"], diff_id)
            for layer, diff_id in zip(manifest["layers"], diff_ids, strict=True)
        ]

    def write(self, destination: Path) -> Path:
        """The image as banger makes it."""
        tree = LayerTree(self.layers(), scratch=self._root, report=lambda _done, _whole: None)
        tree.write_image(destination, lambda _done: None)
        tree.close()
        return destination

    def _layer(self, media_type: str, digest: str, size: int, diff_id: str) -> Layer:
        return Layer(lambda: self._blob(digest).open("rb"), media_type, digest, size, diff_id)

    def _read(self, digest: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._blob(digest).read_bytes())
        return found

    def _blob(self, digest: str) -> Path:
        return self._layout / "blobs" / digest.replace(":", "/")


def umoci(*words: object) -> None:
    done = subprocess.run(["umoci", *map(str, words)], check=False, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()


def describe_directory(root: Path) -> Facts:
    """What a tree on a disk is; to be read as root."""
    found: dict[bytes, tuple[os.stat_result, tuple[tuple[bytes, bytes], ...], bytes]] = {}
    pending = [b""]
    top = os.fsencode(root)
    while pending:
        path = pending.pop()
        full = top + b"/" + path
        status = os.lstat(full)
        content = b""
        if stat.S_ISDIR(status.st_mode):
            prefix = path + b"/" if path else b""
            pending += [prefix + name for name in os.listdir(full)]
        elif stat.S_ISREG(status.st_mode):
            with open(full, "rb") as file:
                content = file.read()
        elif stat.S_ISLNK(status.st_mode):
            content = os.readlink(full)
        names = sorted(os.listxattr(full, follow_symlinks=False))
        xattrs = tuple((name.encode(), os.getxattr(full, name, follow_symlinks=False)) for name in names)
        found[path] = status, xattrs, content
    names_of: dict[int, set[bytes]] = {}
    for path, (status, _, _) in found.items():
        names_of.setdefault(status.st_ino, set()).add(path)
    return {
        path: Fact(
            mode=status.st_mode,
            uid=status.st_uid,
            gid=status.st_gid,
            mtime_ns=status.st_mtime_ns,
            device=_linux_device(status.st_rdev),
            xattrs=xattrs,
            content=content,
            names=frozenset(names_of[status.st_ino]),
        )
        for path, (status, xattrs, content) in found.items()
    }


def describe_image(image: Path) -> Facts:
    found = read_erofs(image.read_bytes())
    names_of: dict[int, set[bytes]] = {}
    for path, inode in found.items():
        names_of.setdefault(inode.number, set()).add(path)
    for path, inode in found.items():
        if not stat.S_ISDIR(inode.mode):
            assert inode.links == len(names_of[inode.number]), path
    return {
        path: Fact(
            mode=inode.mode,
            uid=inode.uid,
            gid=inode.gid,
            mtime_ns=inode.mtime_ns,
            device=inode.device,
            xattrs=tuple(sorted(inode.xattrs.items())),
            content=inode.content,
            names=frozenset(names_of[inode.number]),
        )
        for path, inode in found.items()
    }


def check_equal(expected: Facts, found: Facts, *, times_unknown: Sequence[bytes] = ()) -> None:
    """`times_unknown` are directories to which umoci gives the time of its own work: those that it makes because no
    layer has them, and those that it takes something out of for an opaque directory above.
    """
    assert found.keys() == expected.keys()
    for path, fact in expected.items():
        known = replace(fact, mtime_ns=found[path].mtime_ns) if path in times_unknown else fact
        assert found[path] == known, path


def _linux_device(number: int) -> int:
    major, minor = os.major(number), os.minor(number)
    return (minor & 0xFF) | major << 8 | (minor & ~0xFF) << 12
