"""The real daemon with everything slow replaced: `python -m tests.fakes.machineless`."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import struct
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from banger.core.clock import RandomIds, SystemClock
from banger.core.config.defaults import Defaults, apply_configuration
from banger.core.config.parsing import Configuration
from banger.core.content_store import ContentStore
from banger.core.errors import NotFound
from banger.core.layout import Layout
from banger.core.platforms import host_architecture
from banger.core.processes import ProcessIdentity, open_pidfd, read_identity, start
from banger.core.progress import Progress
from banger.core.sockets import listen_unix
from banger.core.vm import HostSize
from banger.daemon.__main__ import main
from banger.daemon.app import choose_user_key
from banger.daemon.composition import Collaborators
from banger.daemon.failpoints import Failpoints, parse_failpoints
from banger.daemon.lifetimes import SystemUptime
from banger.daemon.operations.boot_files import BootFiles
from banger.daemon.operations.file_sync import SyncFiles
from banger.disk.space import judge_free_space
from banger.guest.agent import find_agent
from banger.hypervisor.contract import CommandLine, Hypervisor, MachineSpec, RunningMachine
from banger.hypervisor.qemu.machine import QemuMachine
from banger.image.naming import looks_like_reference, name_reference
from banger.image.reference import Reference, parse_reference
from banger.image.sandbox import clear_abandoned_builds
from banger.image.store import Image
from banger.kernel.store import Kernel

Report = Callable[[Progress], None]


class FakeImages:
    """Images that nobody reads: one from the beginning, the default one once it was asked for, and what is imported."""

    def __init__(self, layout: Layout) -> None:
        self._rootfs = layout.cache / "rootfs"
        self._content = ContentStore(layout.images, kind="image", native=host_architecture())
        self._builds = layout.run / "builds"
        self._images = {"fake": self._make("fake")}

    async def clear_up(self) -> None:
        await clear_abandoned_builds(self._content, place=self._builds)

    async def find_architecture(self, name: str, asked: str | None) -> str:
        return asked or host_architecture()

    async def ensure(self, name: str, report: Report, *, architecture: str, current: bool = False) -> Image:
        if looks_like_reference(name):
            name = name_reference(parse_reference(name))
            self._images.setdefault(name, self._make(name))
        if name == "debian-bookworm":
            self._images.setdefault(name, self._make(name))
        if name not in self._images:
            raise NotFound(f"there is no image named {name}", hint="use fake")
        return self._images[name]

    async def pull(self, reference: Reference, name: str, report: Report, *, architecture: str) -> Image:
        self._images[name] = self._make(name)
        return self._images[name]

    async def import_path(
        self, name: str, path: Path, report: Report, *, tag: str | None, architecture: str | None
    ) -> Image:
        if path.is_file():
            await asyncio.to_thread(path.read_bytes)
        self._images[name] = self._make(name)
        return self._images[name]

    def find(self, name: str, architecture: str | None = None) -> Image | None:
        return self._images.get(name)

    def read(self, digest: str) -> Image:
        return next(image for image in self._images.values() if image.digest == digest)

    def list(self) -> list[Image]:
        return [*self._images.values()]

    def _make(self, name: str) -> Image:
        return Image(
            name=name,
            digest="sha256:" + ("1" * 64 if name == "fake" else hashlib.sha256(name.encode()).hexdigest()),
            architecture=host_architecture(),
            rootfs=self._rootfs,
            packages=None,
            root_fs="erofs",
            init=None,
            environment={},
            size_bytes=0,
            created_at_s=0,
            source="test",
        )


class FakeKernels:
    """One kernel, which nobody boots."""

    def __init__(self, layout: Layout) -> None:
        self._content = ContentStore(layout.kernels, kind="kernel", native=host_architecture())
        self._kernel = Kernel(
            name="fake",
            digest="sha256:" + "2" * 64,
            architecture=host_architecture(),
            release="0",
            vmlinuz=layout.cache / "vmlinuz",
            modules=layout.cache / "modules",
            boot_modules=(),
            size_bytes=0,
            created_at_s=0,
            source="test",
        )

    async def clear_up(self) -> None:
        self._content.remove_drafts()

    async def ensure(self, name: str, report: Report, *, architecture: str) -> Kernel:
        return self._kernel

    def find(self, name: str, architecture: str | None = None) -> Kernel | None:
        return self._kernel

    def read(self, digest: str) -> Kernel:
        return self._kernel

    def list(self) -> list[Kernel]:
        return [self._kernel]


class FakeMachine(QemuMachine):
    """A process like QEMU's, without QEMU's control socket: its guest's processors are it and the agent's process.

    It is stopped too, because the agent of the next session would run.
    """

    async def paused(self) -> bool:
        return _state(self.identity.pid) == "T"

    async def pause(self) -> None:
        for pid in (self.identity.pid, *self._agents()):
            os.kill(pid, signal.SIGSTOP)

    async def resume(self) -> None:
        for pid in (*self._agents(), self.identity.pid):
            os.kill(pid, signal.SIGCONT)

    def signal(self, number: signal.Signals) -> None:
        super().signal(number)
        super().signal(signal.SIGCONT)  # a stopped process takes no notice of any other

    def _agents(self) -> list[int]:
        children = Path(f"/proc/{self.identity.pid}/task/{self.identity.pid}/children").read_text()
        return [int(pid) for pid in children.split()]


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


class FakeHypervisor:
    """Starts `tests.fakes.vmm`."""

    name = "fake"

    async def start(self, spec: MachineSpec) -> RunningMachine:
        spec.channel.unlink(missing_ok=True)
        with listen_unix(spec.channel) as listener, spec.log.open("wb") as log:
            process = await start(
                [
                    sys.executable,
                    __file__.replace("machineless.py", "vmm.py"),
                    str(listener.fileno()),
                    str(find_agent(host_architecture())),
                    f"banger-{spec.vm_id}",
                ],
                environment={"BANGER_FAKE_VMM": os.environ.get("BANGER_FAKE_VMM", "")},
                cwd=spec.run_directory,
                stdout=log.fileno(),
                stderr=log.fileno(),
                pass_fds=[listener.fileno()],
            )
        if os.environ.get("BANGER_FAKE_VMM"):
            spec.console.write_text("Linux begins\nKernel panic - \x1b[31mno root\n")
        identity = read_identity(process.pid)
        assert identity is not None
        return FakeMachine(spec=spec, identity=identity, pidfd=os.pidfd_open(process.pid), process=process)

    async def adopt(self, spec: MachineSpec, identity: ProcessIdentity) -> RunningMachine | None:
        pidfd = open_pidfd(identity)
        return FakeMachine(spec=spec, identity=identity, pidfd=pidfd, process=None) if pidfd is not None else None


@dataclass(frozen=True)
class FakeChoice:
    hypervisor: Hypervisor
    accelerator: str = "nothing at all"
    notice: str = ""

    @property
    def command_line(self) -> CommandLine:
        return CommandLine(("quiet",))


class FakeChooser:
    def check(self, architecture: str) -> None:
        return

    async def choose(self, kernel: Kernel) -> FakeChoice:
        return FakeChoice(FakeHypervisor())


class FakeNetworks:
    """A network process that does nothing but exist, and has counted once."""

    def check(self) -> None:
        return

    def is_up(self, addresses: Iterable[str]) -> bool:
        return True  # the agent tells of this host, which may have no network

    async def start(
        self, *, vm_id: str, run_directory: Path, socket: Path, log: Path, traffic: Path
    ) -> ProcessIdentity:
        traffic.write_bytes(struct.pack("=QQ", 1000, 2000))
        process = await start([sys.executable, "-c", "import time; time.sleep(3600)", vm_id], cwd=run_directory)
        identity = read_identity(process.pid)
        assert identity is not None
        return identity


class JumpingClock(SystemClock):
    """The wall clock, off by as many seconds as the file `clock_offset_s` in the run directory says."""

    def __init__(self, layout: Layout) -> None:
        self._file = layout.run / "clock_offset_s"

    def now_s(self) -> float:
        return super().now_s() + (float(self._file.read_text() or 0) if self._file.exists() else 0)


class FakeSpace:
    """As much as the file `free_bytes` in the run directory says, and enough without it."""

    def __init__(self, layout: Layout) -> None:
        self._file = layout.run / "free_bytes"

    def check(self) -> None:
        if self._file.exists():
            judge_free_space(int(self._file.read_text()))


class FakeDisks:
    async def make(self, path: Path, size_bytes: int) -> None:
        await asyncio.to_thread(path.write_bytes, b"disk")


class FakeUptime:
    """The real one, which a test may push: seconds are added that a file says."""

    def __init__(self) -> None:
        self._real = SystemUptime()

    def now_s(self) -> float:
        path = os.environ.get("BANGER_TEST_UPTIME_FILE")
        return self._real.now_s() + (float(Path(path).read_text()) if path and Path(path).exists() else 0.0)

    def boot_id(self) -> str:
        return self._real.boot_id()


def fake_collaborators(layout: Layout, configuration: Configuration) -> Collaborators:
    user_key = choose_user_key(layout, configuration)
    defaults = Defaults(vcpu=1, memory_mib=128, disk_bytes=1 << 30, image="fake", kernel="fake")
    return Collaborators(
        images=FakeImages(layout),
        kernels=FakeKernels(layout),
        chooser=FakeChooser(),
        boot_files=BootFiles(layout=layout, user_key=user_key),
        networks=FakeNetworks(),
        space=FakeSpace(layout),
        disks=FakeDisks(),
        configuration=configuration,
        defaults=apply_configuration(defaults, configuration),
        host=HostSize(cpus=2, memory_bytes=16 << 30),
        user_key=user_key,
        sync_files=SyncFiles(
            configuration.file_sync or (), home=Path(os.environ["HOME"]), guest_home=f"{os.environ['HOME']}/guest-home"
        ),
        clock=JumpingClock(layout),
        uptime=FakeUptime(),
        interval_s=float(os.environ.get("BANGER_TEST_INTERVAL_S", "60")),
        ids=RandomIds(),
        failpoints=Failpoints(parse_failpoints(os.environ.get("BANGER_FAILPOINTS", ""))),
    )


if __name__ == "__main__":
    sys.exit(main(fake_collaborators))
