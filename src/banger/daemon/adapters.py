"""What fulfils the contracts of `daemon.collaborators` on a real host, apart from images and kernels."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from banger.core.layout import Layout
from banger.daemon.operations.boot_files import BootFiles
from banger.disk.data import copy_data_disk, ensure_data_disk
from banger.disk.space import IMAGES, check_free_space
from banger.guest.agent import find_agent
from banger.guest.clock import measure_tsc_khz
from banger.hypervisor.choosing import QemuChoosing, Trial, check_guests
from banger.hypervisor.contract import CommandLine, Hypervisor
from banger.kernel.store import Kernel


@dataclass(frozen=True, slots=True, kw_only=True)
class HostChoice:
    """The chosen VMM, and the kernel command line of its guests."""

    hypervisor: Hypervisor
    accelerator: str
    command_line: CommandLine
    notice: str


class QemuChooser:
    """QEMU, with KVM where a guest really runs under it."""

    def __init__(self, layout: Layout, boot_files: BootFiles, *, host: str) -> None:
        self._host = host
        self._choosing = QemuChoosing(memory=layout.probes, host=host)
        self._boot_files = boot_files
        self._tsc_khz: int | None = None
        self._measuring = asyncio.Lock()

    def check(self, architecture: str) -> None:
        check_guests(architecture, host=self._host)

    async def try_each(self, kernel: Kernel) -> Sequence[Trial]:
        base = await self._boot_files.ensure_base(kernel)
        return await self._choosing.try_each(
            architecture=kernel.architecture,
            kernel=kernel.vmlinuz,
            kernel_digest=kernel.digest,
            initramfs=base,
            tsc_khz=await self._ensure_tsc_khz() if kernel.architecture == self._host else None,
        )

    async def choose(self, kernel: Kernel) -> HostChoice:
        base = await self._boot_files.ensure_base(kernel)
        choice = await self._choosing.choose(
            architecture=kernel.architecture, kernel=kernel.vmlinuz, kernel_digest=kernel.digest, initramfs=base
        )
        counts_as_host = choice.is_emulated and kernel.architecture == self._host
        tsc_khz = await self._ensure_tsc_khz() if counts_as_host else None
        return HostChoice(
            hypervisor=choice.hypervisor,
            accelerator=choice.accelerator,
            command_line=choice.command_line(tsc_khz=tsc_khz),
            notice=choice.notice,
        )

    async def _ensure_tsc_khz(self) -> int | None:
        async with self._measuring:  # a daemon that adopts many VMs at once measures once
            if self._tsc_khz is None:
                self._tsc_khz = await measure_tsc_khz(find_agent(self._host))
        return self._tsc_khz


class HostSpace:
    """The file systems where VMs have their disks, and where images and kernels are."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def check(self, *, needed_bytes: int = 0) -> None:
        check_free_space(self._layout.state, needed_bytes=needed_bytes)

    def check_stores(self, needed_bytes: int) -> None:
        check_free_space(self._layout.cache, needed_bytes=needed_bytes, keeps=IMAGES)


class HostDataDisks:
    """Data disks from templates."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    async def make(self, path: Path, size_bytes: int) -> None:
        await ensure_data_disk(path, size_bytes=size_bytes, templates=self._layout.templates)

    async def copy(self, source: Path, path: Path) -> None:
        await copy_data_disk(source, path)
