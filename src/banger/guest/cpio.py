"""cpio archives in the `newc` format, as the kernel's initramfs unpacker reads them (initramfs buffer format)."""

from __future__ import annotations

import stat
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class CpioEntry:
    """A member. `mode` includes the file type; `device` is for device nodes."""

    path: str
    mode: int
    content: bytes = b""
    device: tuple[int, int] = (0, 0)


def regular(path: str, content: bytes, *, mode: int = 0o644) -> CpioEntry:
    """A regular file."""
    return CpioEntry(path=path, mode=stat.S_IFREG | mode, content=content)


def directory(path: str, *, mode: int = 0o755) -> CpioEntry:
    """A directory."""
    return CpioEntry(path=path, mode=stat.S_IFDIR | mode)


def encode_archive(entries: Iterable[CpioEntry]) -> bytes:
    """The archive's bytes, ending with its trailer; the same entries always give the same bytes."""
    parts: list[bytes] = []
    for number, entry in enumerate(entries, start=1):
        parts += _encode(number, entry)
    parts += _encode(0, CpioEntry(path="TRAILER!!!", mode=0))
    return b"".join(parts)


def _encode(number: int, entry: CpioEntry) -> tuple[bytes, ...]:
    name = entry.path.lstrip("/").encode() + b"\0"
    fields = (
        number,
        entry.mode,
        0,  # uid
        0,  # gid
        1,  # links
        0,  # time
        len(entry.content),
        0,  # device of the file itself
        0,
        *entry.device,
        len(name),
        0,  # checksum, unused
    )
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + name
    return head, b"\0" * (-len(head) % 4), entry.content, b"\0" * (-len(entry.content) % 4)
