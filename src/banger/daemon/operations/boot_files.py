"""The one file a VM boots from: the initramfs shared by all VMs of a kernel, followed by this VM's own seed."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from pathlib import Path
from typing import Final

from banger.core.files import make_private_directory, write_durably
from banger.core.layout import Layout, VmLayout
from banger.core.reading import read_bounded
from banger.daemon.operations.commands import plan_environment
from banger.guest.agent import find_agent
from banger.guest.initramfs import build_base_initramfs
from banger.guest.process import ExecRequest, encode_entrypoint
from banger.guest.seed import Seed, SeedFile
from banger.guest.ssh import ensure_user_key, public_half
from banger.image.store import Image
from banger.kernel.store import Kernel
from banger.network.plan import DEFAULT_NETWORK
from banger.store.records import VmRecord

# Docker and containerd keep overlays of their own, which cannot live on our overlay.
DIRECT_DIRECTORIES: Final = ("/var/lib/docker", "/var/lib/containerd")

_KEY_LIMIT_BYTES: Final = 64 << 10

# A VM is ready before its init is done, and systemd would empty /tmp, or mount another one over it, while the first
# commands already use it. What is in /run goes before what the image says (tmpfiles.d(5); an empty unit is a masked
# one, systemd.unit(5)).
_KEPT_TMP: Final = (
    SeedFile(
        path="/run/tmpfiles.d/tmp.conf", mode=0o644, content=b"d /tmp 1777 root root -\nd /var/tmp 1777 root root -\n"
    ),
    SeedFile(path="/run/systemd/system/tmp.mount", mode=0o644, content=b""),
)


class BootFiles:
    """Writes initramfs files."""

    def __init__(self, *, layout: Layout, user_key: Path) -> None:
        self._layout = layout
        self._user_key = user_key
        self._making_key = asyncio.Lock()
        self._bases: dict[str, Path] = {}

    async def write(self, *, record: VmRecord, image: Image, kernel: Kernel, files: VmLayout) -> None:
        """Write the initramfs of one start of one VM."""
        if self._user_key == self._layout.user_key:
            async with self._making_key:  # here, so that starting the daemon does not need ssh-keygen
                await ensure_user_key(self._user_key)
        base = await self.ensure_base(kernel)
        seed = self._seed(record, image, files)
        await asyncio.to_thread(_concatenate, files.initramfs, base, seed.archive())

    async def ensure_base(self, kernel: Kernel) -> Path:
        """The shared part for a kernel, made when the agent or the kernel is new."""
        agent = find_agent(kernel.architecture)
        key = hashlib.sha256(agent.read_bytes() + kernel.digest.encode()).hexdigest()[:32]
        if key not in self._bases:
            path = self._layout.bases / key
            if not path.exists():
                make_private_directory(path.parent)
                content = await asyncio.to_thread(build_base_initramfs, agent, kernel.boot_modules)
                await asyncio.to_thread(write_durably, path, content)
            self._bases[key] = path
        return self._bases[key]

    def _seed(self, record: VmRecord, image: Image, files: VmLayout) -> Seed:
        public_key = read_bounded(
            public_half(self._user_key), limit_bytes=_KEY_LIMIT_BYTES, what="the public half of your ssh key"
        )
        host_key = files.host_key
        network = DEFAULT_NETWORK if record.spec.nat else None
        return Seed(
            hostname=record.name,
            clock_ns=time.time_ns(),
            init=image.init,
            root_fs=image.root_fs,
            modules_disk="modules",
            direct=DIRECT_DIRECTORIES,
            address=str(network.address) if network else None,
            gateway=str(network.gateway) if network else None,
            dns=str(network.dns) if network else None,
            mtu=network.mtu if network else None,
            channel="virtio:banger.channel",
            entrypoint=_entrypoint(image) if record.spec.runs_entrypoint else None,
            files=(
                SeedFile(path="/etc/ssh/ssh_host_ed25519_key", mode=0o600, content=host_key.read_bytes()),
                SeedFile(
                    path="/etc/ssh/ssh_host_ed25519_key.pub",
                    mode=0o644,
                    content=host_key.with_suffix(".pub").read_bytes(),
                ),
                SeedFile(path="/root/.ssh/authorized_keys", mode=0o600, content=public_key),
                *(_KEPT_TMP if image.init else ()),
            ),
        )


def _entrypoint(image: Image) -> bytes:
    """The image's entrypoint, from its configuration."""
    request = ExecRequest(
        argv=image.run.argv,
        environment=plan_environment(image.environment, {}),
        cwd=image.run.working_dir or "/",
        user=image.run.user or None,
        make_directory=True,
    )
    return encode_entrypoint(request, stop_signal=image.run.stop_signal)


def _concatenate(path: Path, base: Path, seed: bytes) -> None:
    """Join two archives, which the kernel unpacks in turn (initramfs buffer format). Nothing here needs to be durable.

    The base goes from file to file: megabytes that are read for each start stay in the memory of the thread.
    """
    with base.open("rb") as source, path.open("wb") as target:
        size = left = os.fstat(source.fileno()).st_size
        while left > 0 and (count := os.sendfile(target.fileno(), source.fileno(), None, left)):
            left -= count
        target.write(b"\0" * (-size % 512) + seed)
