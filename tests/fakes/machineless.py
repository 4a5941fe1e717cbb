"""The real daemon with everything slow replaced: `python -m tests.fakes.machineless`."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import shutil
import signal
import stat
import struct
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from banger.core.clock import RandomIds, SystemClock
from banger.core.config.defaults import Defaults, apply_configuration
from banger.core.config.parsing import Configuration
from banger.core.errors import NotFound
from banger.core.layout import Layout
from banger.core.platforms import ARCHITECTURES, host_architecture
from banger.core.processes import ProcessIdentity, open_pidfd, read_identity, start
from banger.core.progress import Progress
from banger.core.provenance import UNKNOWN, Provenance
from banger.core.sockets import listen_unix
from banger.core.threads import left_in_thread
from banger.core.vm import HostSize
from banger.daemon.__main__ import main
from banger.daemon.app import choose_user_key
from banger.daemon.composition import Collaborators
from banger.daemon.failpoints import Failpoints, parse_failpoints
from banger.daemon.host_catalogues import Catalogues, open_catalogues
from banger.daemon.host_images import HostImages
from banger.daemon.host_kernels import HostKernels
from banger.daemon.host_packages import HostPackages
from banger.daemon.host_registry import HostRegistry
from banger.daemon.lifetimes import SystemUptime
from banger.daemon.operations.boot_files import BootFiles
from banger.daemon.operations.file_sync import SyncFiles
from banger.disk.members import ArchiveMembers
from banger.disk.rootfs import write_image
from banger.disk.space import IMAGES, judge_free_space
from banger.disk.tree import Body, Node, Tree
from banger.guest.agent import find_agent
from banger.hypervisor.choosing import Trial
from banger.hypervisor.contract import CommandLine, Hypervisor, MachineSpec, RunningMachine
from banger.hypervisor.qemu.machine import QemuMachine
from banger.image.blob_cache import BlobCache
from banger.image.debian_packages import Debian
from banger.image.reference import Reference
from banger.image.sandbox import clear_abandoned_builds
from banger.image.saving import SavedRoot
from banger.image.store import Image, ImageStore
from banger.image.store import plan_manifest as image_manifest
from banger.kernel.store import Kernel, KernelStore
from banger.kernel.store import plan_manifest as kernel_manifest

Report = Callable[[Progress], None]


class FakeImages(HostImages):
    """The real store with an image that nobody reads in it. What others would build or fetch is nearly nothing too."""

    def __init__(self, layout: Layout, catalogues: Catalogues, registry: HostRegistry) -> None:
        super().__init__(
            layout,
            catalogues,
            registry,
            recipes={
                (name, each): FakeRecipe(each) for name in ("debian-bookworm", "debian-dev") for each in ARCHITECTURES
            },
        )
        self._builds = layout.run / "builds"
        if self._store.find("fake") is None:
            publish_image(self._store, "fake", Provenance())

    async def clear_up(self) -> None:
        await clear_abandoned_builds(self._store.content, place=self._builds)

    async def ensure(self, name: str, report: Report, *, architecture: str, current: bool = False) -> Image:
        if name == "fake" and self._store.find("fake", architecture) is None:
            await asyncio.to_thread(publish_image, self._store, "fake", Provenance(), architecture=architecture)
        return await super().ensure(name, report, architecture=architecture, current=current)

    async def pull(self, reference: Reference, name: str, report: Report, *, architecture: str) -> Image:
        digest = "sha256:" + hashlib.sha256(str(reference).encode()).hexdigest()
        provenance = Provenance(kind="oci", reference=str(reference), digest=digest)
        return await asyncio.to_thread(publish_image, self._store, name, provenance, architecture=architecture)

    async def import_path(
        self, name: str, path: Path, report: Report, *, tag: str | None, architecture: str | None
    ) -> Image:
        if path.is_dir():
            return await asyncio.to_thread(publish_image, self._store, name, Provenance(kind="archive"))
        return await super().import_path(name, path, report, tag=tag, architecture=architecture)

    async def save(self, name: str, archive: AsyncGenerator[bytes, None], saved: SavedRoot, report: Report) -> Image:
        async with left_in_thread(self._store.content.draft()):
            begun = self._builds.parent / "archive_begun"
            if begun.exists():  # it never ends
                begun.write_text("yes")
                await asyncio.Event().wait()
            await archive.aclose()  # of this computer's whole root
            return await asyncio.to_thread(publish_image, self._store, name, saved.provenance)


class FakePackages(HostPackages):
    """What was asked for, as empty files. Other files are the real ones."""

    @asynccontextmanager
    async def downloaded(
        self, packages: Sequence[str], debian: Debian, *, architecture: str, report: Report
    ) -> AsyncIterator[list[Path]]:
        async with left_in_thread(self._content.draft()) as draft:
            for package in packages:
                (draft / f"{package}_1_all.deb").touch()
            yield sorted(draft.iterdir())


class FakeRecipe:
    fingerprint = "fake"
    build_bytes = 0

    def __init__(self, architecture: str) -> None:
        self._architecture = architecture

    async def make(self, store: ImageStore, name: str, cache: BlobCache, report: Report) -> Image:
        provenance = Provenance(kind="distribution", reference="fake")
        return await asyncio.to_thread(
            publish_image, store, name, provenance, architecture=self._architecture, recipe="fake"
        )


def make_tree(name: str) -> Tree:
    """A root with one file."""
    tree = Tree()
    body = Body(io.BytesIO(name.encode()), 0, len(name))
    ArchiveMembers(tree).put(b"name", Node(mode=stat.S_IFREG | 0o644, body=body))
    return tree


def publish_image(
    store: ImageStore, name: str, provenance: Provenance, *, architecture: str = "", recipe: str = ""
) -> Image:
    with store.content.draft() as draft:
        write_image(make_tree(name), draft / "rootfs.erofs")
        (draft / "packages.txt").write_text("bash 5.2\nless 590\n")
        manifest = image_manifest(
            name=name,
            architecture=architecture or host_architecture(),
            init=None,
            created_at_s=0,
            source="test",
            environment={},
            recipe=recipe,
            provenance=provenance,
        )
        files = ["rootfs.erofs", "packages.txt"]
        return store.view(name, store.content.publish(draft, name=name, files=files, manifest=manifest))


class FakeKernels(HostKernels):
    """The real store with a kernel in it that nobody boots."""

    def __init__(self, layout: Layout, catalogues: Catalogues, cache: BlobCache) -> None:
        super().__init__(
            layout,
            catalogues,
            cache,
            recipes={("debian-cloud", each): FakeKernelRecipe(each, layout) for each in ARCHITECTURES},
        )
        if self._store.find("fake") is None:
            write_kernel(self._store, "fake", host_architecture())

    async def ensure(self, name: str, report: Report, *, architecture: str, current: bool = False) -> Kernel:
        if name == "fake" and self._store.find("fake", architecture) is None:
            await asyncio.to_thread(write_kernel, self._store, "fake", architecture)
        return await super().ensure(name, report, architecture=architecture, current=current)

    async def clear_up(self) -> None:
        await asyncio.to_thread(self._store.content.remove_drafts)


class FakeKernelRecipe:
    """A distribution that has two kernels: the one whose number is in a file (1 without it), and the one before."""

    def __init__(self, architecture: str, layout: Layout) -> None:
        self._architecture = architecture
        self._newest = layout.kernels / "newest"

    async def __call__(self, store: KernelStore, name: str, report: Report, came: Provenance | None) -> Kernel:
        newest = int(self._newest.read_text()) if self._newest.exists() else 1
        kernels = [f"kernel {number}" for number in (newest, newest - 1)]
        reference = kernels[0] if came is None else came.reference
        if reference not in kernels:
            raise NotFound(f"the distribution no longer has {reference}", hint="use a newer one")
        provenance = Provenance(kind="distribution", reference=reference)
        return await asyncio.to_thread(
            write_kernel, store, name, self._architecture, content=reference, provenance=provenance
        )


def write_kernel(
    store: KernelStore, name: str, architecture: str, *, content: str = "", provenance: Provenance = UNKNOWN
) -> Kernel:
    with store.content.draft() as draft:
        for file in ("vmlinuz", "modules.erofs"):
            (draft / file).write_text(content or name)
        manifest = kernel_manifest(
            name=name,
            architecture=architecture,
            release="0",
            boot_modules=(),
            created_at_s=0,
            source="test",
            provenance=provenance,
        )
        files = ["vmlinuz", "modules.erofs"]
        return store.view(name, store.content.publish(draft, name=name, files=files, manifest=manifest))


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

    async def try_each(self, kernel: Kernel) -> tuple[Trial, ...]:
        broken = Trial(name="fast", accelerator="a fast one", works=False, reason="there is none here")
        return (broken, Trial(name="fake", accelerator="nothing at all", works=True, reason="a test guest ran"))

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

    def check(self, *, needed_bytes: int = 0) -> None:
        if self._file.exists():
            judge_free_space(int(self._file.read_text()), needed_bytes=needed_bytes)

    def check_stores(self, needed_bytes: int) -> None:
        if self._file.exists():
            judge_free_space(int(self._file.read_text()), needed_bytes=needed_bytes, keeps=IMAGES)


class FakeDisks:
    async def make(self, path: Path, size_bytes: int) -> None:
        await asyncio.to_thread(path.write_bytes, b"disk")

    async def copy(self, source: Path, path: Path) -> None:
        await asyncio.to_thread(shutil.copyfile, source, path)


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
    registry = HostRegistry(layout, registries=configuration.registries or {}, environment=os.environ)
    catalogues = open_catalogues(layout, configuration.catalogues or ())
    return Collaborators(
        images=FakeImages(layout, catalogues, registry),
        packages=FakePackages(layout, registry.cache),
        kernels=FakeKernels(layout, catalogues, registry.cache),
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


def refuse_to_wait_for_the_disk() -> None:
    """Fail every request that makes the event loop wait until a disk has written, or removed a tree: it may take long."""
    fsync = os.fsync

    def fsync_elsewhere(descriptor: int) -> None:
        with suppress(RuntimeError):
            asyncio.get_running_loop()
            raise AssertionError("fsync in the event loop")
        fsync(descriptor)

    def refuse(event: str, _arguments: object) -> None:
        if event == "shutil.rmtree":
            with suppress(RuntimeError):
                asyncio.get_running_loop()
                raise AssertionError("a tree is removed in the event loop")

    sys.addaudithook(refuse)
    os.fsync = fsync_elsewhere  # type: ignore[assignment]  # nobody here has anything but descriptors


if __name__ == "__main__":
    refuse_to_wait_for_the_disk()
    sys.exit(main(fake_collaborators))
