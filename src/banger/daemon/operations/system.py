"""`system df` and `doctor --leaks`: everything of banger's on this computer. Read-only."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from banger.api.messages import DiskUsage, LeaksResult, OwnUsage, SharedUsage
from banger.core.allocated import allocated_bytes
from banger.core.errors import NotFound
from banger.core.layout import Layout
from banger.core.leaks import Leak, find_leaks, look_around
from banger.daemon.collaborators import Images, Kernels
from banger.disk.space import FLOOR_BYTES, read_free_bytes
from banger.image.store import Image
from banger.kernel.store import Kernel
from banger.store.connection import Database
from banger.store.records import VmRecord, list_vms


class System:
    """Adds up disk usage, and finds leftovers."""

    def __init__(self, *, layout: Layout, database: Database, images: Images, kernels: Kernels) -> None:
        self._layout = layout
        self._database = database
        self._images = images
        self._kernels = kernels

    async def usage(self) -> DiskUsage:
        """Bytes on the disk, by image, kernel, template and VM."""
        records = await self._database.call(list_vms)
        return await asyncio.to_thread(self._add_up, records)

    async def leaks(self) -> LeaksResult:
        """The leftovers. Rows are read before and after looking: what either explains is work in progress."""
        before = {record.id: record.state for record in await self._database.call(list_vms)}
        seen = await asyncio.to_thread(look_around, self._layout, now_s=time.time())
        after = {record.id: record.state for record in await self._database.call(list_vms)}
        first = {_thing(leak) for leak in find_leaks(seen, before)}
        leaks = [leak for leak in find_leaks(seen, after) if _thing(leak) in first]
        return {"leaks": [{"kind": leak.kind, "what": leak.what, "why": leak.why} for leak in leaks]}

    def _add_up(self, records: Sequence[VmRecord]) -> DiskUsage:
        needed = Counter(
            digest for record in records for digest in (record.spec.image_digest, record.spec.kernel_digest)
        )
        disks = Counter(f"data-{record.spec.disk_bytes}" for record in records)
        templates = sorted(self._layout.templates.glob("data-*.ext4"))
        shared = [
            *(_shared("image", one.name, _image_files(one), needed[one.digest]) for one in self._all_images(records)),
            *(_shared("kernel", one.name, _kernel_files(one), needed[one.digest]) for one in self._kernels.list()),
            *(_shared("template", path.stem, [path], disks[path.stem]) for path in templates),
        ]
        known_bytes = sum(one["bytes"] for one in shared)
        rest_bytes = max(0, allocated_bytes([self._layout.cache]) - known_bytes)
        shared.append({"kind": "other", "name": "", "bytes": rest_bytes, "vms": 0})
        vms = [self._own(record) for record in records]
        return {
            "shared": shared,
            "vms": vms,
            "shared_bytes": known_bytes + rest_bytes,
            "own_bytes": sum(vm["total_bytes"] for vm in vms),
            "free_bytes": read_free_bytes(self._layout.state),
            "floor_bytes": FLOOR_BYTES,
        }

    def _all_images(self, records: Sequence[VmRecord]) -> list[Image]:
        """Images that have a name, and those that only VMs still need."""
        images = {image.digest: image for image in self._images.list()}
        for digest in {record.spec.image_digest for record in records} - images.keys():
            try:
                images[digest] = self._images.read(digest)
            except NotFound:
                continue
        return list(images.values())

    def _own(self, record: VmRecord) -> OwnUsage:
        files = self._layout.vm(record.id)
        older = files.console.with_name(files.console.name + ".1")
        disk_bytes = allocated_bytes([files.data_disk])
        logs_bytes = allocated_bytes([files.console, older, files.vmm_log, files.network_log])
        total_bytes = allocated_bytes([files.state, files.run])
        return {
            "id": record.id,
            "name": record.name,
            "state": record.state.value,
            "disk_bytes": disk_bytes,
            "logs_bytes": logs_bytes,
            "other_bytes": max(0, total_bytes - disk_bytes - logs_bytes),
            "total_bytes": total_bytes,
        }


def _thing(leak: Leak) -> tuple[str, str]:
    return leak.kind, leak.what


def _shared(kind: Literal["image", "kernel", "template"], name: str, paths: Sequence[Path], vms: int) -> SharedUsage:
    return {"kind": kind, "name": name, "bytes": allocated_bytes(paths), "vms": vms}


def _image_files(image: Image) -> list[Path]:
    if image.file is not None:
        return []  # the user's own, and not banger's
    return [image.rootfs, *([image.packages] if image.packages is not None else [])]


def _kernel_files(kernel: Kernel) -> list[Path]:
    return [kernel.vmlinuz, kernel.modules, *kernel.boot_modules]
