"""Kernels of a few hundred bytes, with everything in them that says what they are."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile

RELEASE = "6.1.0-test-amd64"
CONFIG = "".join(
    f"CONFIG_{option}=y\n"
    for option in (
        *("BLK_DEV_INITRD", "DEVTMPFS", "TMPFS", "BINFMT_ELF", "VIRTIO_MMIO", "VIRTIO_BLK", "VIRTIO_CONSOLE"),
        *("VIRTIO_NET", "EROFS_FS", "OVERLAY_FS", "EXT4_FS"),
        *("SERIAL_8250_CONSOLE", "SERIAL_AMBA_PL011_CONSOLE"),
    )
)
NEEDED = ("virtio_mmio", "virtio_blk", "virtio_console", "erofs", "overlay", "ext4")


def bzimage(
    *, release: str = RELEASE, version: int = 0x20F, loadflags: int = 1, xloadflags: int = 1, pointer: int = 0x400
) -> bytes:
    data = bytearray(4096)
    data[0x1FE:0x200] = b"\x55\xaa"
    data[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", data, 0x206, version)
    struct.pack_into("<H", data, 0x20E, pointer)
    data[0x211] = loadflags
    struct.pack_into("<H", data, 0x236, xloadflags)
    text = f"{release} (me@here) #1 SMP\0".encode()
    data[0x600 : 0x600 + len(text)] = text
    return bytes(data)


def vmlinux(*, release: str = RELEASE, machine: int = 0x3E, pvh: bool = True, config: str | None = None) -> bytes:
    note = struct.pack("<III", 4, 4, 18 if pvh else 6) + b"Xen\0" + b"\0" * 4
    header = bytearray(64)
    header[:6] = b"\x7fELF\x02\x01"
    struct.pack_into("<H", header, 18, machine)
    struct.pack_into("<Q", header, 32, 64)
    struct.pack_into("<HH", header, 54, 56, 1)
    segment = struct.pack("<IIQQQQQQ", 4, 4, 120, 0, 0, len(note), len(note), 4)
    return bytes(header) + segment + note + banner(release) + embedded(config)


def arm64_image(*, release: str = RELEASE, config: str | None = None) -> bytes:
    return b"MZ" + bytes(54) + b"ARM\x64" + bytes(100) + banner(release) + embedded(config)


def banner(release: str) -> bytes:
    return b"\0Linux version %s\0Linux version " + release.encode() + b" (me@here) (gcc) #1 SMP\0"


def embedded(config: str | None) -> bytes:
    return b"" if config is None else b"IKCFG_ST" + gzip.compress(config.encode()) + b"IKCFG_ED"


def module(name: str, *, depends: str = "", release: str = RELEASE) -> bytes:
    return f"\x7fELF\0name={name}\0depends={depends}\0vermagic={release} SMP mod_unload\0".encode()


def modules_tar(files: dict[str, bytes]) -> io.BytesIO:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    stream.seek(0)
    return stream


def modules(
    prefix: str = f"lib/modules/{RELEASE}/", *, builtin: tuple[str, ...] = (), release: str = RELEASE
) -> dict[str, bytes]:
    """What guests need, as modules."""
    return {
        f"{prefix}modules.dep": b"",
        f"{prefix}modules.builtin": "".join(f"kernel/x/{name}.ko\n" for name in builtin).encode(),
        **{f"{prefix}kernel/x/{name}.ko": module(name, release=release) for name in NEEDED if name not in builtin},
    }
