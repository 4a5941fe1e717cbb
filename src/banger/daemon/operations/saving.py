"""`image save`: an image of a stopped VM's root, made in a guest: the host never reads a disk that a guest wrote."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack, aclosing
from typing import Final

from banger.api.messages import ImageView
from banger.core.allocated import allocated_bytes
from banger.core.errors import AlreadyExists, Failed, NotFound, WrongState
from banger.core.layout import Layout
from banger.core.names import parse_image_name
from banger.core.provenance import Provenance
from banger.core.vm import State, VmSpec
from banger.daemon.collaborators import Images, Kernels, Space
from banger.daemon.context import Request
from banger.daemon.operations.boot_files import DIRECT_DIRECTORIES
from banger.daemon.operations.file_sync import SyncFiles
from banger.daemon.operations.images import view_image
from banger.daemon.operations.throwaway import ThrowawayVms
from banger.daemon.progress import reporter
from banger.daemon.supervisor import Supervisor
from banger.guest.archive import ArchiveRequest, ImageDisk
from banger.guest.channel import Channel
from banger.image.saving import SavedRoot
from banger.image.store import Image
from banger.kernel.store import Kernel
from banger.store.connection import Database
from banger.store.records import VmRecord, list_vms, resolve_vm

PURPOSE: Final = "image-save"
EMPTIED: Final = ("dev", "proc", "run", "sys", "tmp")
# The identity of a machine, which those made from the image must not share. The seed wrote the first ones.
IDENTITY: Final = (
    "etc/hostname",
    "etc/hosts",
    "etc/resolv.conf",
    "root/.ssh/authorized_keys",
    *(f"etc/ssh/ssh_host_{kind}_key{half}" for kind in ("dsa", "ecdsa", "ed25519", "rsa") for half in ("", ".pub")),
    "etc/machine-id",
    "var/lib/dbus/machine-id",
    "var/lib/systemd/credential.secret",
    "var/lib/systemd/random-seed",
)
# A copy of the disk, the contents of files, and the image: no more than the disk and the old image have, each.
_COPIES: Final = 3
_HEADERS_BYTES: Final = 2 << 30  # of as many entries as an image may have
_CHECKED_BYTES: Final = 64 << 20  # of an archive, between two looks at the host's disk
_LIAR_HINT: Final = "no honest guest does: what is on that disk attacks the kernel that mounts it; delete the VM"


class ReadRoot:
    """Makes an image from the archive that a guest's agent sends."""

    def __init__(self, *, images: Images, sync_files: SyncFiles, space: Space) -> None:
        self._images = images
        self._sync_files = sync_files
        self._space = space

    async def __call__(
        self,
        request: Request,
        name: str,
        channel: Channel,
        saved: SavedRoot,
        *,
        spec: VmSpec,
        base: Image,
        kernel: Kernel,
    ) -> Image:
        """Read the root of a guest of that spec, whose image is `base`, and in which nothing runs.

        Raises `Failed`, `Invalid`, `TimedOut` or `Unavailable` for the archive of a broken or hostile guest.
        """
        asked = plan_archive(base, kernel, private=self._sync_files.guest_paths())
        archive = bounded(
            channel.get_archive(asked), limit_bytes=limit_archive(spec, base), check=lambda: self._space.check_stores(0)
        )
        image = await self._images.save(name, archive, saved, reporter(request))
        if base.kernel or base.disk_bytes:
            await asyncio.to_thread(
                self._images.set_machine, image, kernel=base.kernel or None, disk_bytes=base.disk_bytes or None
            )
        return image


class SaveImage:
    """The use case."""

    def __init__(
        self,
        *,
        layout: Layout,
        database: Database,
        supervisor: Supervisor,
        images: Images,
        kernels: Kernels,
        space: Space,
        throwaway: ThrowawayVms,
        read_root: ReadRoot,
    ) -> None:
        self._layout = layout
        self._database = database
        self._supervisor = supervisor
        self._images = images
        self._kernels = kernels
        self._space = space
        self._throwaway = throwaway
        self._read_root = read_root

    async def __call__(self, request: Request, record: VmRecord, name: str) -> ImageView:
        """Save a stopped VM. It may start again as soon as its disk is copied."""
        async with AsyncExitStack() as stack:
            async with self._supervisor.lock(record.id):
                record = resolve_vm(await self._database.call(list_vms), record.id)
                base, kernel = self._check(record, name)
                disk = self._layout.vm(record.id).data_disk
                guest = await stack.enter_async_context(
                    self._throwaway.made(request, record.spec, purpose=PURPOSE, disk=disk)
                )
            saved = SavedRoot(
                architecture=base.architecture,
                environment=base.environment,
                run=base.run,
                source=f"saved from the VM {record.name}",
                provenance=Provenance(kind="vm", reference=record.name, base=base.digest),
                hint="remove it in the VM, stop the VM, and save it again",
            )
            channel = await guest.boot()
            return view_image(
                await self._read_root(request, name, channel, saved, spec=record.spec, base=base, kernel=kernel)
            )

    def _check(self, record: VmRecord, name: str) -> tuple[Image, Kernel]:
        """Refuse a VM that cannot be saved, before anything exists."""
        parse_image_name(name)
        if self._images.find(name) is not None:
            raise AlreadyExists(f"there is already an image named {name}", hint="choose another name")
        if record.state is not State.STOPPED:
            raise WrongState(
                f"the VM {record.name} is {record.state}, and only a stopped one has a complete disk",
                hint=f"stop it first, with `banger vm stop {record.name}`",
                actual=str(record.state),
            )
        base = self._images.read(record.spec.image_digest)
        kernel = self._kernels.read(record.spec.kernel_digest)
        disk = self._layout.vm(record.id).data_disk
        if not disk.exists():
            raise NotFound(f"the disk of {record.name} is gone", hint="delete the VM")
        self._space.check(needed_bytes=_COPIES * (allocated_bytes([disk]) + base.size_bytes))
        return base, kernel


def limit_archive(spec: VmSpec, base: Image) -> int:
    """The largest archive of an honest guest, in bytes: what its disk and image hold, plus headers."""
    return spec.disk_bytes + base.size_bytes + _HEADERS_BYTES


async def bounded(
    archive: AsyncGenerator[bytes, None], *, limit_bytes: int, check: Callable[[], None]
) -> AsyncGenerator[bytes, None]:
    """The same pieces, up to a limit: more raise `Failed`. `check` is called now and then."""
    received = unchecked = 0
    async with aclosing(archive):
        async for piece in archive:
            received += len(piece)
            unchecked += len(piece)
            if received > limit_bytes:
                raise Failed("the guest sends more than its image and its disk can hold", hint=_LIAR_HINT)
            if unchecked > _CHECKED_BYTES:
                check()
                unchecked = 0
            yield piece


def plan_archive(base: Image, kernel: Kernel, *, private: Sequence[str]) -> ArchiveRequest:
    """What of a guest's root is archived, and what belongs to that guest alone: its identity, the kernel's modules,
    and `private` files that the host gave it.
    """
    modules = (f"{directory}/modules/{kernel.release}" for directory in ("lib", "usr/lib"))
    return ArchiveRequest(
        mounted=tuple(path.strip("/") for path in DIRECT_DIRECTORIES),
        emptied=EMPTIED,
        of_image=(*IDENTITY, *modules, *(path.strip("/") for path in private)),
        image=ImageDisk(serial="image", file_system=base.root_fs),
    )
