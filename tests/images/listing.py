"""Trees of files in the same words, wherever they are: on this computer's disk, or as a guest's kernel shows them."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

LISTER = Path(__file__).with_name("lister.c")
TARGETS = {"x86_64": "x86_64-linux-musl", "aarch64": "aarch64-linux-musl"}


@dataclass(frozen=True)
class Entry:
    """What is at a path. `content` is the SHA-256 of a file's bytes or the target of a link; `names` are all of the inode's."""

    mode: int
    uid: int
    gid: int
    mtime_ns: int
    device: tuple[int, int]
    content: bytes
    xattrs: tuple[tuple[bytes, bytes], ...]
    names: frozenset[bytes]


Listing = Mapping[bytes, Entry]


def build_lister(directory: Path, architecture: str = "x86_64") -> Path:
    """The program, static, for guests of an architecture."""
    program = directory / f"lister-{architecture}"
    compiler = [sys.executable, "-m", "ziglang", "cc", "-target", TARGETS[architecture]]
    flags = ["-static", "-O2", "-s", "-Wall", "-Wextra", "-Werror", "-o", str(program), str(LISTER)]
    subprocess.run([*compiler, *flags], check=True)
    return program


def parse_listing(text: bytes) -> Listing:
    """What the program printed."""
    found: list[tuple[bytes, object, Entry]] = []
    for line in text.splitlines():
        path, mode, uid, gid, seconds, nanoseconds, device, inode, _size, content, xattrs = line.split(b" ")
        major, minor = device.split(b":")
        pairs = [pair.split(b"=") for pair in xattrs.split(b",") if pair not in (b"-", b"")]
        entry = Entry(
            mode=int(mode, 8),
            uid=int(uid),
            gid=int(gid),
            mtime_ns=int(seconds) * 1_000_000_000 + int(nanoseconds),
            device=(int(major), int(minor)),
            content=_from_hex(content),
            xattrs=tuple(sorted((_from_hex(name), _from_hex(value)) for name, value in pairs)),
            names=frozenset(),
        )
        found.append((_from_hex(path), inode, entry))
    return _with_names(found)


def describe_directory(root: Path) -> Listing:
    """A tree on this computer's disk; to be read as root."""
    return _with_names(list(_walk(os.fsencode(root), b"")))


def _walk(real: bytes, shown: bytes) -> Iterator[tuple[bytes, object, Entry]]:
    status = os.lstat(real)
    content = b""
    if stat.S_ISREG(status.st_mode):
        with open(real, "rb") as file:
            content = hashlib.file_digest(file, "sha256").digest()
    elif stat.S_ISLNK(status.st_mode):
        content = os.readlink(real)
    names = os.listxattr(real, follow_symlinks=False)
    xattrs = sorted((os.fsencode(name), os.getxattr(real, name, follow_symlinks=False)) for name in names)
    entry = Entry(
        mode=status.st_mode,
        uid=status.st_uid,
        gid=status.st_gid,
        mtime_ns=status.st_mtime_ns,
        device=(os.major(status.st_rdev), os.minor(status.st_rdev)),
        content=content,
        xattrs=tuple(xattrs),
        names=frozenset(),
    )
    yield shown, status.st_ino, entry
    if stat.S_ISDIR(status.st_mode):
        for name in os.listdir(real):
            yield from _walk(real + b"/" + name, shown + b"/" + name if shown else name)


def _with_names(found: list[tuple[bytes, object, Entry]]) -> Listing:
    names_of: dict[object, set[bytes]] = {}
    for path, inode, _ in found:
        names_of.setdefault(inode, set()).add(path)
    return {path: replace(entry, names=frozenset(names_of[inode])) for path, inode, entry in found}


def _from_hex(text: bytes) -> bytes:
    return b"" if text == b"-" else bytes.fromhex(text.decode())


def differences(
    expected: Listing, found: Listing, *, is_excused: Callable[[bytes], bool] = lambda _path: False
) -> list[str]:
    """What is not equal, a line each; names of one inode are compared as far as none of them is excused."""
    lines = []
    for path in sorted(expected.keys() | found.keys()):
        if is_excused(path):
            continue
        if path not in found or path not in expected:
            lines.append(f"{path!r} is only in the {'image' if path in expected else 'guest'}")
            continue
        first, second = expected[path], found[path]
        for field in ("mode", "uid", "gid", "mtime_ns", "device", "content", "xattrs"):
            one, other = getattr(first, field), getattr(second, field)
            if one != other:
                lines.append(f"{path!r}: {field} is {one!r}, in the guest {other!r}")
        if first.names != second.names and not any(map(is_excused, first.names | second.names)):
            lines.append(f"{path!r}: names are {sorted(first.names)}, in the guest {sorted(second.names)}")
    return lines
