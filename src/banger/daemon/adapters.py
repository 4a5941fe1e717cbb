"""The rooms behind the contracts of `daemon.collaborators`."""

from __future__ import annotations

import asyncio
import getpass
import platform
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from banger.core.config.defaults import DEFAULT_IMAGE, DEFAULT_KERNEL
from banger.core.debian import read_host_sources
from banger.core.errors import NotFound
from banger.core.layout import Layout
from banger.core.progress import Progress
from banger.core.threads import from_thread, run_in_thread
from banger.daemon.operations.boot_files import BootFiles
from banger.disk.data import ensure_data_disk
from banger.disk.rootfs import ArchiveTree
from banger.disk.space import check_free_space
from banger.guest.agent import find_agent
from banger.guest.clock import measure_tsc_khz
from banger.hypervisor.choosing import QemuChoosing, check_host
from banger.hypervisor.contract import CommandLine, Hypervisor
from banger.hypervisor.qemu.plan import kernel_command_line
from banger.image.distribution import BUILD_BYTES, make_debian_image
from banger.image.importing import import_tar
from banger.image.recipe import X86_64, fingerprint
from banger.image.sandbox import read_host_facts
from banger.image.store import Image, ImageStore
from banger.kernel.debian import make_debian_kernel
from banger.kernel.store import Kernel, KernelStore

Report = Callable[[Progress], None]


class HostImages:
    """The image store, and the one recipe there is."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._store = ImageStore(layout.images)
        self._store.content.remove_drafts()

    async def ensure(self, name: str, report: Report, *, current: bool = False) -> Image:
        image = self._find_usable(name, current=current)
        if image is not None:
            return image
        if name != DEFAULT_IMAGE:
            raise NotFound(
                f"there is no image named {ascii(name)[1:-1]}",
                hint="`banger image list` shows the images; `banger image import FILE --name NAME` makes one",
            )
        check_free_space(self._layout.images, needed_bytes=BUILD_BYTES)
        async with self._store.content.making(name, _waiting(report, "image", name)):
            return self._find_usable(name, current=current) or await make_debian_image(
                self._store,
                name,
                host_sources=read_host_sources(),
                facts=read_host_facts(getpass.getuser()),
                read_rootfs=ArchiveTree,
                report=report,
            )

    def _find_usable(self, name: str, *, current: bool) -> Image | None:
        image = self._store.find(name)
        if current and image is not None and name == DEFAULT_IMAGE and image.recipe != fingerprint(X86_64):
            return None
        return image

    async def import_tar(self, name: str, tar: BinaryIO, report: Report) -> Image:
        tell = from_thread(report)

        def work(check: Callable[[], None]) -> Image:
            return import_tar(
                self._store,
                name,
                tar,
                read_rootfs=ArchiveTree,
                origin="imported archive",
                architecture=platform.machine(),
                report=tell,
                check=check,
            )

        async with self._store.content.making(name, _waiting(report, "image", name)):
            return await run_in_thread(work)

    def find(self, name: str) -> Image | None:
        return self._store.find(name)

    def read(self, digest: str) -> Image:
        return self._store.read(digest)

    def list(self) -> list[Image]:
        return self._store.list()


class HostKernels:
    """The kernel store, and where the default kernel comes from."""

    def __init__(self, layout: Layout) -> None:
        self._store = KernelStore(layout.kernels)
        self._store.content.remove_drafts()

    async def ensure(self, name: str, report: Report) -> Kernel:
        kernel = self._store.find(name)
        if kernel is not None:
            return kernel
        if name != DEFAULT_KERNEL:
            raise NotFound(f"there is no kernel named {ascii(name)[1:-1]}", hint="`banger kernel list` shows them")
        async with self._store.content.making(name, _waiting(report, "kernel", name)):
            return self._store.find(name) or await make_debian_kernel(
                self._store, name, read_package=ArchiveTree, report=report
            )

    def find(self, name: str) -> Kernel | None:
        return self._store.find(name)

    def read(self, digest: str) -> Kernel:
        return self._store.read(digest)

    def list(self) -> list[Kernel]:
        return self._store.list()


@dataclass(frozen=True, slots=True, kw_only=True)
class HostChoice:
    """A VMM of this host, and what guests under it are told."""

    hypervisor: Hypervisor
    accelerator: str
    command_line: CommandLine
    notice: str


class QemuChooser:
    """QEMU, with KVM where a guest really runs under it."""

    def __init__(self, layout: Layout, boot_files: BootFiles) -> None:
        self._choosing = QemuChoosing(memory=layout.probes)
        self._boot_files = boot_files
        self._tsc_khz: int | None = None
        self._measuring = asyncio.Lock()

    def check(self) -> None:
        check_host(platform.machine())

    async def choose(self, kernel: Kernel) -> HostChoice:
        base = await self._boot_files.ensure_base(kernel)
        choice = await self._choosing.choose(kernel=kernel.vmlinuz, kernel_digest=kernel.digest, initramfs=base)
        emulated = choice.hypervisor.name != "qemu-kvm"
        async with self._measuring:  # a daemon that adopts many VMs at once measures once
            if emulated and self._tsc_khz is None:
                self._tsc_khz = await measure_tsc_khz(find_agent(platform.machine()))
        return HostChoice(
            hypervisor=choice.hypervisor,
            accelerator=choice.accelerator,
            command_line=kernel_command_line(tsc_khz=self._tsc_khz if emulated else None),
            notice=choice.notice,
        )


class HostSpace:
    """The file system where VMs keep their disks."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def check(self) -> None:
        check_free_space(self._layout.state)


class HostDataDisks:
    """Data disks from templates."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    async def make(self, path: Path, size_bytes: int) -> None:
        await ensure_data_disk(path, size_bytes=size_bytes, templates=self._layout.templates)


def _waiting(report: Report, stage: str, name: str) -> Callable[[], None]:
    return lambda: report(Progress(stage=stage, text=f"waiting for somebody else who is making {name}"))
