"""The kind, architecture and release of a kernel file, by its bytes. Pure.

Sources: Documentation/arch/x86/boot.rst, Documentation/arch/arm64/booting.rst and include/linux/pe.h of Linux, elf(5).
"""

from __future__ import annotations

import re
import struct
import zlib
from dataclasses import dataclass
from typing import Final

from banger.core.errors import Invalid, Unsupported

SIZE_LIMIT_BYTES: Final = 256 << 20
_CONFIG_LIMIT_BYTES: Final = 4 << 20
_BANNER: Final = re.compile(rb"Linux version ([0-9A-Za-z.+~_-]{1,64}) \(")
_RELEASE: Final = re.compile(rb"([0-9A-Za-z.+~_-]{1,64})(?: [^\0]*)?\0")
_HINT: Final = "give a bzImage or vmlinux for x86_64, or an Image for aarch64"
_ELF_MACHINES: Final = {0x3E: "x86_64", 0xB7: "aarch64"}
_PVH_NOTE: Final = (b"Xen\0", 18)  # XEN_ELFNOTE_PHYS32_ENTRY: where a VMM without firmware enters
_NOTE_SEGMENT: Final = 4
_SEGMENTS_LIMIT: Final = 64
_NOTES_LIMIT_BYTES: Final = 1 << 20
# Where a kernel keeps its own configuration (kernel/configs.c).
_CONFIG_BEGIN: Final = b"IKCFG_ST\x1f\x8b\x08"
_CONFIG_MARK_BYTES: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelFormat:
    """`kind` is `bzImage`, `vmlinux` or `Image`; `architecture` is what `uname -m` says in its guests."""

    kind: str
    architecture: str
    release: str


def parse_kernel(data: bytes) -> KernelFormat:
    """Identify a kernel. Raises `Invalid` if it is not one, `Unsupported` if it cannot be booted here."""
    if len(data) > SIZE_LIMIT_BYTES:
        raise Invalid("the file is larger than any kernel", hint=_HINT)
    if data[0x1FE:0x200] == b"\x55\xaa" and data[0x202:0x206] == b"HdrS":
        return _parse_bzimage(data)
    if data[:4] == b"\x7fELF":
        return _parse_vmlinux(data)
    if data[56:60] == b"ARM\x64":
        return KernelFormat(kind="Image", architecture="aarch64", release=_find_release(data))
    if data[:2] == b"\x1f\x8b":
        raise Unsupported("the file is compressed with gzip", hint="unpack it first: gunzip FILE")
    if data[:2] == b"MZ" and data[4:8] == b"zimg":
        raise Unsupported("the kernel is an EFI program that unpacks itself", hint="give its uncompressed Image")
    raise Invalid("the file is not a kernel of Linux", hint=_HINT)


def read_embedded_config(data: bytes) -> str | None:
    """The configuration in an uncompressed kernel (CONFIG_IKCONFIG); None if it has none that can be read."""
    start = data.find(_CONFIG_BEGIN)
    if start < 0:
        return None
    start += _CONFIG_MARK_BYTES
    unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        text = unpacker.decompress(data[start : start + _CONFIG_LIMIT_BYTES], _CONFIG_LIMIT_BYTES)
    except zlib.error:
        return None
    return text.decode("utf-8", "replace") if unpacker.eof else None


def _parse_bzimage(data: bytes) -> KernelFormat:
    version, pointer, loadflags = _unpack("<H", data, 0x206), _unpack("<H", data, 0x20E), data[0x211:0x212]
    if version < 0x20C or not _unpack("<H", data, 0x236) & 1:
        raise Unsupported("the kernel is not for 64 bits, or older than any that guests can have", hint=_HINT)
    if not loadflags or not loadflags[0] & 1:
        raise Unsupported("the kernel is a zImage, not a bzImage", hint=_HINT)
    match = _RELEASE.match(data[0x200 + pointer : 0x200 + pointer + 128]) if pointer else None
    if match is None:
        raise Invalid("the kernel does not say its release", hint=_HINT)
    return KernelFormat(kind="bzImage", architecture="x86_64", release=match[1].decode("ascii"))


def _parse_vmlinux(data: bytes) -> KernelFormat:
    if data[4:6] != b"\x02\x01":
        raise Unsupported("the kernel is not for a little-endian 64-bit architecture", hint=_HINT)
    machine = _unpack("<H", data, 18)
    architecture = _ELF_MACHINES.get(machine)
    if architecture is None:
        raise Unsupported(f"the kernel is for an architecture that guests cannot have (ELF {machine})", hint=_HINT)
    if architecture == "aarch64":
        raise Unsupported("a vmlinux for aarch64 does not boot by itself", hint="give its Image")
    if not _has_pvh_entry(data):
        raise Unsupported(
            "the vmlinux has no entry for virtual machines", hint="build it with CONFIG_PVH=y, or give its bzImage"
        )
    return KernelFormat(kind="vmlinux", architecture=architecture, release=_find_release(data))


def _find_release(data: bytes) -> str:
    """The release of an uncompressed kernel, from the first line that it prints."""
    place = data.find(b"Linux version ")
    while place >= 0:
        match = _BANNER.match(data[place : place + 128])
        if match is not None:
            return match[1].decode("ascii")
        place = data.find(b"Linux version ", place + 1)
    raise Invalid("the kernel does not say its release", hint=_HINT)


def _has_pvh_entry(data: bytes) -> bool:
    offset, size, count = _unpack("<Q", data, 32), _unpack("<H", data, 54), _unpack("<H", data, 56)
    if size != 56 or not 0 < count <= _SEGMENTS_LIMIT:
        raise Invalid("the vmlinux is damaged", hint=_HINT)
    for index in range(count):
        at = offset + index * size
        if _unpack("<I", data, at) == _NOTE_SEGMENT:
            start, length = _unpack("<Q", data, at + 8), _unpack("<Q", data, at + 32)
            if _PVH_NOTE in _notes(data[start : start + min(length, _NOTES_LIMIT_BYTES)]):
                return True
    return False


def _notes(data: bytes) -> set[tuple[bytes, int]]:
    """Names and types of the notes in a segment."""
    found: set[tuple[bytes, int]] = set()
    at = 0
    while at + 12 <= len(data):
        name_size, content_size, kind = struct.unpack_from("<III", data, at)
        found.add((data[at + 12 : at + 12 + name_size], kind))
        at += 12 + (name_size + 3) // 4 * 4 + (content_size + 3) // 4 * 4
    return found


def _unpack(form: str, data: bytes, at: int) -> int:
    part = data[at : at + struct.calcsize(form)]
    if len(part) != struct.calcsize(form):
        raise Invalid("the kernel is cut short", hint=_HINT)
    return int(struct.unpack(form, part)[0])
