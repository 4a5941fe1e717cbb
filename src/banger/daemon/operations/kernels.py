"""Kernels as clients see them."""

from __future__ import annotations

import asyncio
from pathlib import Path

from banger.api.messages import (
    AvailableResult,
    KernelDetail,
    KernelImportRequest,
    KernelPullRequest,
    KernelView,
    NamesRequest,
    NamesResult,
)
from banger.core.errors import Invalid
from banger.core.names import parse_image_name
from banger.core.platforms import host_architecture
from banger.daemon.collaborators import Kernels
from banger.daemon.context import Request
from banger.daemon.operations.stored import (
    Users,
    missing,
    read_platform,
    remove_each,
    view_available,
    view_provenance,
)
from banger.daemon.progress import reporter
from banger.kernel.importing import KernelFiles
from banger.kernel.store import Kernel


class KernelVerbs:
    """Lists, shows, pulls, imports and deletes."""

    def __init__(self, *, kernels: Kernels, users: Users) -> None:
        self._kernels = kernels
        self._users = users

    async def list(self) -> list[KernelView]:
        return [view_kernel(kernel) for kernel in await asyncio.to_thread(self._kernels.list)]

    async def available(self, request: Request) -> AvailableResult:
        """List what catalogues have."""
        found, opened = await self._kernels.available(reporter(request))
        return await view_available(request, self._kernels, found, opened)

    async def show(self, name: str, platform: str | None = None) -> KernelDetail:
        """Show everything about one. Raises `NotFound`."""
        kernel = self._kernels.find(name, read_platform(platform))
        if kernel is None:
            raise missing("kernel", name, platform, {kernel.name for kernel in self._kernels.list()})
        vms = (await self._users.by_digest()).get(kernel.digest, [])
        return {
            **view_kernel(kernel),
            "provenance": view_provenance(kernel.provenance),
            "boot_modules": [path.stem for path in kernel.boot_modules],
            "vms": sorted(vms),
        }

    async def pull(self, request: Request, asked: KernelPullRequest) -> KernelView:
        """Get a kernel as its source has it now."""
        architecture = read_platform(asked.get("platform")) or host_architecture()
        return view_kernel(
            await self._kernels.ensure(asked["name"], reporter(request), architecture=architecture, current=True)
        )

    async def import_files(self, request: Request, asked: KernelImportRequest) -> KernelView:
        """Make a kernel from files on the host. Raises `AlreadyExists`, `Invalid`, `NotFound`, `Unsupported`."""
        name = parse_image_name(asked["name"])
        paths = [asked["path"], asked["modules"], asked["config"]]
        if not all(path is None or path.startswith("/") for path in paths):
            raise Invalid("a path is not absolute")
        files = KernelFiles(
            kernel=Path(asked["path"]),
            modules=None if asked["modules"] is None else Path(asked["modules"]),
            config=None if asked["config"] is None else Path(asked["config"]),
        )
        return view_kernel(await self._kernels.import_files(name, files, reporter(request)))

    async def delete(self, request: Request, asked: NamesRequest) -> NamesResult:
        """Remove kernels that no VM uses."""
        return await remove_each(request, asked, kind="kernel", store=self._kernels, users=self._users)


def view_kernel(kernel: Kernel) -> KernelView:
    """A kernel as clients see it."""
    return {
        "name": kernel.name,
        "digest": kernel.digest,
        "architecture": kernel.architecture,
        "release": kernel.release,
        "size_bytes": kernel.size_bytes,
        "created_at_s": kernel.created_at_s,
        "source": kernel.source,
    }
