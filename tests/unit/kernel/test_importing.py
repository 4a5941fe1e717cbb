"""Kernels of the user's and of bundles: what they are, what they need, what is wrong with them."""

from __future__ import annotations

import gzip
import lzma
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from backports import zstd
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.kernel.kernels import (
    CONFIG,
    NEEDED,
    RELEASE,
    arm64_image,
    bzimage,
    module,
    modules,
    modules_tar,
    vmlinux,
)

from banger.core.errors import BangerError, Invalid, NotFound, Unsupported
from banger.core.provenance import Provenance
from banger.disk.rootfs import ArchiveTree
from banger.kernel.formats import parse_kernel, read_embedded_config
from banger.kernel.importing import KernelFiles, import_bundle, import_kernel
from banger.kernel.packing import ModuleTree, unpack_module
from banger.kernel.store import Kernel, KernelStore


@contextmanager
def open_tree(archive: Path, draft: Path) -> Iterator[ModuleTree]:
    with archive.open("rb") as source, closing(ArchiveTree(source, scratch=draft)) as tree:
        yield tree


class World:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.store = KernelStore(root / "store")
        self.runs = 0

    def write(self, name: str, content: bytes) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def write_all(self, files: dict[str, bytes]) -> None:
        for name, content in files.items():
            self.write(name, content)

    def run(self, kernel: bytes, *, modules: Path | None = None, config: str | None = None) -> Kernel:
        files = KernelFiles(
            kernel=self.write("kernel", kernel),
            modules=modules,
            config=None if config is None else self.write("config", config.encode()),
        )
        self.runs += 1
        return import_kernel(self.store, f"mine-{self.runs}", files, open_tree=open_tree, check=lambda: None)

    def bundle(self, files: dict[str, bytes]) -> Kernel:
        with self.store.content.draft() as draft, closing(ArchiveTree(modules_tar(files))) as tree:
            return import_bundle(self.store, "mine", draft, tree, source="x", provenance=Provenance(kind="bundle"))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.mark.parametrize(
    ("data", "kind", "architecture"),
    [
        (bzimage(), "bzImage", "x86_64"),
        (vmlinux(), "vmlinux", "x86_64"),
        (arm64_image(), "Image", "aarch64"),
    ],
    ids=["bzImage", "vmlinux", "Image"],
)
def test_what_a_kernel_is(data: bytes, kind: str, architecture: str) -> None:
    found = parse_kernel(data)
    assert (found.kind, found.architecture, found.release) == (kind, architecture, RELEASE)


NO_KERNELS = {
    "nothing": (b"", Invalid),
    "text": (b"#!/bin/sh\n" * 200, Invalid),
    "a gzipped Image": (gzip.compress(arm64_image()), Unsupported),
    "an EFI zboot image": (b"MZ\0\0zimg" + bytes(200), Unsupported),
    "a program": (b"\x7fELF\x02\x01" + bytes(200), Unsupported),
    "a 32-bit program": (b"\x7fELF\x01\x01" + bytes(200), Unsupported),
    "a big-endian program": (b"\x7fELF\x02\x02" + bytes(200), Unsupported),
    "the beginning of a program": (vmlinux()[:17], Invalid),
    "a vmlinux without its table": (vmlinux()[:64], Invalid),
    "a vmlinux without an entry": (vmlinux(pvh=False), Unsupported),
    "a vmlinux for arm64": (vmlinux(machine=0xB7), Unsupported),
    "a vmlinux for riscv": (vmlinux(machine=0xF3), Unsupported),
    "a vmlinux without a release": (vmlinux().replace(b"Linux version 6", b"Linux Version 6"), Invalid),
    "a bzImage of 32 bits": (bzimage(xloadflags=0), Unsupported),
    "a bzImage of long ago": (bzimage(version=0x20B), Unsupported),
    "a zImage": (bzimage(loadflags=0), Unsupported),
    "a bzImage without a release": (bzimage(pointer=0), Invalid),
    "a bzImage with a release beyond its end": (bzimage(pointer=0xFFFF), Invalid),
    "a bzImage that is cut": (bzimage()[:0x210], Invalid),
    "a release with an escape": (bzimage(release="6.1\x1b[2J"), Invalid),
    "a release with a path": (bzimage(release="../../6.1"), Invalid),
    "an endless release": (bzimage(release="6" * 100), Invalid),
    "an Image without a release": (arm64_image().replace(b"Linux version 6", b"Linux Version 6"), Invalid),
}


@pytest.mark.parametrize("name", NO_KERNELS)
def test_what_is_no_kernel(name: str) -> None:
    data, error = NO_KERNELS[name]
    with pytest.raises(error) as caught:
        parse_kernel(data)
    assert caught.value.hint
    assert caught.value.summary.isprintable()


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from([bzimage(), vmlinux(config=CONFIG), arm64_image(config=CONFIG)]),
    st.binary(max_size=40),
    st.integers(0, 700),
    st.integers(0, 4096),
)
def test_any_bytes_in_a_kernel(data: bytes, junk: bytes, at: int, end: int) -> None:
    damaged = (data[:at] + junk + data[at + len(junk) :])[:end]
    try:
        found = parse_kernel(damaged)
    except BangerError:
        return
    read_embedded_config(damaged)
    assert found.release.isprintable()
    assert "/" not in found.release


def test_the_configuration_that_a_kernel_carries() -> None:
    assert read_embedded_config(vmlinux(config=CONFIG)) == CONFIG
    assert read_embedded_config(vmlinux()) is None
    assert read_embedded_config(vmlinux() + b"IKCFG_ST\x1f\x8b\x08\0junk") is None
    bomb = b"IKCFG_ST" + gzip.compress(bytes(64 << 20))
    assert read_embedded_config(bomb) is None


@pytest.mark.parametrize("place", ["", f"{RELEASE}/", f"lib/modules/{RELEASE}/"])
def test_a_kernel_with_a_directory_of_modules(world: World, place: str) -> None:
    world.write_all({f"d/{name}": content for name, content in modules(place).items()})
    (world.root / "d" / place / "build").symlink_to("/usr/src")
    kernel = world.run(bzimage(), modules=world.root / "d")
    assert (kernel.name, kernel.architecture, kernel.release) == ("mine-1", "x86_64", RELEASE)
    assert [path.name for path in kernel.boot_modules] == [
        f"{name}.ko" for name in ("virtio_mmio", "virtio_blk", "virtio_console", "erofs", "overlay", "ext4")
    ]
    assert kernel.provenance.kind == "files"
    assert kernel.vmlinuz.read_bytes() == bzimage()
    again = world.run(bzimage(), modules=world.root / "d")
    assert again.digest == kernel.digest


@pytest.mark.parametrize(
    "prefix", ["", "./", f"{RELEASE}/", f"./lib/modules/{RELEASE}/", f"usr/lib/modules/{RELEASE}/"]
)
def test_a_kernel_with_an_archive_of_modules(world: World, prefix: str) -> None:
    archive = world.write("m.tar", modules_tar(modules(prefix, builtin=("ext4",))).read())
    kernel = world.run(bzimage(), modules=archive)
    assert len(kernel.boot_modules) == 5


@pytest.mark.parametrize("data", [vmlinux(config=CONFIG), arm64_image(config=CONFIG)], ids=["vmlinux", "Image"])
def test_a_kernel_with_everything_in_it(world: World, data: bytes) -> None:
    kernel = world.run(data)
    assert kernel.boot_modules == ()
    assert kernel.modules.stat().st_size > 0


def test_a_kernel_whose_configuration_lies_beside_it(world: World) -> None:
    kernel = world.run(bzimage(), config=CONFIG)
    assert kernel.boot_modules == ()


@pytest.mark.parametrize("name", NEEDED)
def test_what_is_missing_is_named(world: World, name: str) -> None:
    files = modules()
    del files[f"lib/modules/{RELEASE}/kernel/x/{name}.ko"]
    with pytest.raises(Unsupported, match=rf"the kernel has no {name} \(CONFIG_"):
        world.run(bzimage(), modules=world.write("m.tar", modules_tar(files).read()))
    assert world.store.list() == []


@pytest.mark.parametrize(
    "option", ["BLK_DEV_INITRD", "DEVTMPFS", "TMPFS", "BINFMT_ELF", "EROFS_FS", "SERIAL_8250_CONSOLE"]
)
def test_what_the_configuration_lacks_is_named(world: World, option: str) -> None:
    with pytest.raises(Unsupported, match=f"CONFIG_{option}"):
        world.run(bzimage(), config=CONFIG.replace(f"CONFIG_{option}=y", f"# CONFIG_{option} is not set"))


def test_nothing_says_what_is_in_it(world: World) -> None:
    with pytest.raises(Invalid, match="nothing says what is built into the kernel"):
        world.run(bzimage())


def test_modules_of_another_kernel(world: World) -> None:
    for prefix in ("lib/modules/6.6.0/", ""):
        files = {name: content.replace(RELEASE.encode(), b"6.6.0") for name, content in modules(prefix).items()}
        with pytest.raises(Invalid, match=r"6\.6\.0"):
            world.run(bzimage(), modules=world.write("m.tar", modules_tar(files).read()))
    world.write_all({f"d/{name}": content for name, content in modules("lib/modules/6.6.0/").items()})
    with pytest.raises(NotFound, match=RELEASE):
        world.run(bzimage(), modules=world.root / "d")


def test_modules_without_their_index_and_several_of_them(world: World) -> None:
    files = modules()
    del files[f"lib/modules/{RELEASE}/modules.dep"]
    with pytest.raises(Invalid, match="index") as caught:
        world.run(bzimage(), modules=world.write("m.tar", modules_tar(files).read()))
    assert "depmod" in caught.value.hint
    with pytest.raises(Invalid, match="2 directories"):
        world.run(bzimage(), modules=world.write("m.tar", modules_tar({**modules(), **modules("b/")}).read()))


PACKERS: dict[str, Callable[[bytes], bytes]] = {"gz": gzip.compress, "xz": lzma.compress, "zst": zstd.compress}


@pytest.mark.parametrize("suffix", PACKERS)
def test_compressed_modules_are_unpacked_for_the_initramfs(world: World, suffix: str) -> None:
    pack = PACKERS[suffix]
    files = {
        (f"{name}.{suffix}" if name.endswith(".ko") else name): (pack(content) if name.endswith(".ko") else content)
        for name, content in modules().items()
    }
    kernel = world.run(bzimage(), modules=world.write("m.tar", modules_tar(files).read()))
    assert kernel.boot_modules[0].read_bytes() == module("virtio_mmio")


@pytest.mark.parametrize("suffix", PACKERS)
def test_damaged_modules_and_bombs(suffix: str) -> None:
    pack = PACKERS[suffix]
    packed = pack(module("x") * 100)
    for damaged in (packed[:-5], packed[:10], packed[:8] + b"\xff" * 20):
        with pytest.raises(Invalid, match="damaged"):
            unpack_module(damaged, "x.ko.gz")
    with pytest.raises(Unsupported, match="larger"):
        unpack_module(pack(bytes(65 << 20)), "x.ko.gz")


@pytest.mark.parametrize("name", ["../../etc/passwd", "a b", "x" * 65, "\x1b[2J", "é"])
def test_names_of_modules_never_become_names_of_files(world: World, name: str) -> None:
    files = modules()
    files[f"lib/modules/{RELEASE}/kernel/x/virtio_mmio.ko"] = module("virtio_mmio", depends=name)
    if "/" not in name:
        files[f"lib/modules/{RELEASE}/kernel/x/{name}.ko"] = module("x")
    with pytest.raises((Invalid, Unsupported)) as caught:
        world.run(bzimage(), modules=world.write("m.tar", modules_tar(files).read()))
    assert caught.value.summary.isprintable()


def test_an_endless_row_of_modules(world: World) -> None:
    files = modules()
    files[f"lib/modules/{RELEASE}/kernel/x/virtio_mmio.ko"] = module("virtio_mmio", depends="m0")
    for number in range(2000):
        files[f"lib/modules/{RELEASE}/kernel/x/m{number}.ko"] = module("m", depends=f"m{number + 1}")
    with pytest.raises(Unsupported, match="endless"):
        world.run(bzimage(), modules=world.write("m.tar", modules_tar(files).read()))


def test_a_bundle(world: World) -> None:
    kernel = world.bundle(
        {f"boot/vmlinuz-{RELEASE}": bzimage(), f"boot/config-{RELEASE}": CONFIG.encode(), **modules()}
    )
    assert kernel.provenance.kind == "bundle"
    assert len(kernel.boot_modules) == 0, "the configuration says that all of it is built in"
    with pytest.raises(Invalid, match="no kernel"):
        world.bundle(modules())


def test_files_that_cannot_be_read(world: World) -> None:
    with pytest.raises(NotFound, match="the kernel cannot be read"):
        import_kernel(world.store, "x", KernelFiles(kernel=world.root / "no"), open_tree=open_tree, check=lambda: None)
    with pytest.raises(Invalid, match="not a regular file"):
        import_kernel(world.store, "x", KernelFiles(kernel=world.root), open_tree=open_tree, check=lambda: None)
