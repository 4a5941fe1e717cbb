"""Floors: the same kernel, initramfs, image and channel without banger's daemon, journal and command line."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from banger.core.layout import Layout
from banger.core.platforms import host_architecture
from banger.core.sockets import connect_unix, listen_unix
from banger.daemon.adapters import HostDataDisks, QemuChooser
from banger.daemon.host_catalogues import open_catalogues
from banger.daemon.host_images import HostImages
from banger.daemon.host_kernels import HostKernels
from banger.daemon.host_registry import HostRegistry
from banger.daemon.operations.boot_files import BootFiles
from banger.guest.channel import Channel
from banger.guest.seed import Seed
from banger.hypervisor.contract import DiskSpec, MachineSpec
from banger.hypervisor.qemu.board import find_board
from banger.hypervisor.qemu.plan import Inherited, plan_arguments

MEMORY_MIB = 512
IDLE_AFTER_S = 25  # guests have booted to the end


@dataclass
class Bare:
    """A QEMU that nobody manages."""

    layout: Layout
    memory_mib: int = MEMORY_MIB
    vcpu: int = 2

    async def prepare(self) -> None:
        """Everything that is there before the clock starts."""
        host = host_architecture()
        catalogues = open_catalogues(self.layout, ())
        registry = HostRegistry(self.layout, registries={}, environment={})
        kernels = HostKernels(self.layout, catalogues, registry.cache)
        images = HostImages(self.layout, catalogues, registry)
        self.kernel = await kernels.ensure("debian-cloud", lambda _progress: None, architecture=host)
        self.image = await images.ensure("debian-bookworm", lambda _progress: None, architecture=host)
        boot_files = BootFiles(layout=self.layout, user_key=self.layout.user_key)
        chosen = await QemuChooser(self.layout, boot_files, host=host).choose(self.kernel)
        self.command_line = chosen.command_line
        self.accelerator = "kvm" if chosen.hypervisor.name == "qemu-kvm" else "tcg"
        self.files = self.layout.vm("bare")
        for directory in (self.files.state, self.files.run):
            directory.mkdir(parents=True, exist_ok=True)
        await self.renew_disk()
        base = (await boot_files.ensure_base(self.kernel)).read_bytes()
        seed = Seed(
            hostname="bare",
            clock_ns=time.time_ns(),
            init=self.image.init,
            root_fs=self.image.root_fs,
            modules_disk="modules",
            channel="virtio:banger.channel",
        )
        self.files.initramfs.write_bytes(base + bytes(-len(base) % 512) + seed.archive())

    async def renew_disk(self) -> None:
        """An empty data disk, as every new VM has one. Making it is banger's work, not the floor's."""
        self.files.data_disk.unlink(missing_ok=True)
        await HostDataDisks(self.layout).make(self.files.data_disk, 8 << 30)

    @property
    def port(self) -> Path:
        """The host's end of the port `bench.tar` of a guest that has one."""
        return self.files.run / "bench.sock"

    @asynccontextmanager
    async def running(self, *, with_port: bool = False) -> AsyncIterator[tuple[Channel, int]]:
        """A guest that has given its first answer, and the pid of its QEMU; killed at the end."""
        files = self.files
        spec = MachineSpec(
            vm_id="bare",
            vcpu=self.vcpu,
            memory_mib=self.memory_mib,
            kernel=self.kernel.vmlinuz,
            initramfs=files.initramfs,
            command_line=self.command_line,
            disks=(
                DiskSpec(serial="image", path=self.image.rootfs, read_only=True),
                DiskSpec(serial="modules", path=self.kernel.modules, read_only=True),
                DiskSpec(serial="data", path=files.data_disk, read_only=False),
            ),
            channel=files.channel,
            console=files.console,
            console_socket=files.console_socket,
            control=files.control,
            log=files.vmm_log,
            log_pipe=files.vmm_pipe,
            network=None,
            run_directory=files.run,
        )
        listeners = []
        for path in (files.channel, files.console_socket, files.control, self.port):
            path.unlink(missing_ok=True)
            listeners.append(listen_unix(path))
        descriptors = [listener.fileno() for listener in listeners]
        board = find_board(self.kernel.architecture)
        argv = plan_arguments(
            board.program,
            board,
            "kvm" if self.accelerator == "kvm" else "tcg",
            spec,
            Inherited(channel=descriptors[0], console=descriptors[1], control=descriptors[2]),
        )
        if with_port:
            argv = [argument.replace("max_ports=2", "max_ports=3") for argument in argv]
            argv += ["-chardev", f"socket,id=port,fd={descriptors[3]},server=on,wait=off"]
            argv += ["-device", "virtserialport,chardev=port,name=bench.tar"]
        process = subprocess.Popen(argv, pass_fds=descriptors, cwd=files.run, stdout=subprocess.DEVNULL)
        for listener in listeners:
            listener.close()
        try:
            channel = await Channel.connect(
                connect_unix(files.channel), first=True, deadline_s=60, clock_ns=time.time_ns
            )
            try:
                yield channel, process.pid
            finally:
                await channel.aclose()
        finally:
            process.kill()
            process.wait()

    def boot_once(self) -> float:
        """Seconds from the start of QEMU over the first answer to the end of QEMU."""

        async def work() -> None:
            async with self.running():
                pass

        asyncio.run(self.renew_disk())
        began = time.perf_counter()
        asyncio.run(work())
        return time.perf_counter() - began


def resident_kib(pid: int, *, beyond_mib: int = 0) -> int:
    """Memory of a process that is its own (Pss of /proc/PID/smaps, proc(5)), without a mapping of `beyond_mib`."""
    total, size = 0, 0
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if line.startswith("Size:"):
            size = int(line.split()[1])
        elif line.startswith("Pss:") and size != beyond_mib * 1024:
            total += int(line.split()[1])
    return total


def write_sample_repository(path: Path, *, files: int, size_bytes: int) -> None:
    """A repository of source-like text: `files` files of together about `size_bytes`, committed and packed."""
    words = [f"identifier_{number:x}" for number in range(4000)]
    each = size_bytes // files
    state = 1
    for number in range(files):
        directory = path / f"d{number % 50:02d}" / f"e{number % 7}"
        directory.mkdir(parents=True, exist_ok=True)
        parts = []
        length = 0
        while length < each:
            state = (state * 1103515245 + 12345) & 0x7FFFFFFF
            word = words[state % len(words)]
            parts.append(word)
            length += len(word) + 1
        (directory / f"file{number}.txt").write_text("\n".join(parts))
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null"}
    identity = ["-c", "user.name=b", "-c", "user.email=b@example.org"]
    for command in (
        ["init", "-q", "-b", "main"],
        ["add", "-A"],
        [*identity, "-c", "gc.auto=0", "commit", "-qm", "all"],
        ["gc", "-q"],
    ):
        subprocess.run(["git", *command], cwd=path, env=environment, check=True)
