"""The kernel store, and everything that kernels can be made from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from banger.catalogue.document import Distribution, Source
from banger.core.errors import NotFound, Unsupported
from banger.core.layout import Layout
from banger.core.platforms import name_platform
from banger.core.progress import Progress
from banger.core.threads import run_in_thread
from banger.daemon.host_catalogues import Catalogues, describe_waiting
from banger.disk.rootfs import ArchiveTree
from banger.kernel.debian import KERNELS, make_debian_kernel
from banger.kernel.store import Kernel, KernelStore

Report = Callable[[Progress], None]
_DEBIAN_CLOUD: Final = "debian-cloud"


class HostKernels:
    """Kernels by name: those that are here, and those that a catalogue knows how to get."""

    def __init__(self, layout: Layout, catalogues: Catalogues) -> None:
        self._catalogues = catalogues
        self._store = KernelStore(layout.kernels)

    async def clear_up(self) -> None:
        await run_in_thread(lambda _check: self._store.content.remove_drafts())

    async def ensure(self, name: str, report: Report, *, architecture: str) -> Kernel:
        kernel = self._store.find(name, architecture)
        if kernel is not None:
            return kernel
        found = await self._catalogues.find("kernel", name, name_platform(architecture), report)
        if found is None:
            raise NotFound(
                f"there is no kernel named {ascii(name)[1:-1]} for {architecture} guests",
                hint="`banger kernel list` shows them",
            )
        async with self._store.content.making(name, describe_waiting(report, "kernel", name)):
            return self._store.find(name, architecture) or await self._make(
                name, found.entry.source, report, architecture=architecture
            )

    def find(self, name: str, architecture: str | None = None) -> Kernel | None:
        return self._store.find(name, architecture)

    def read(self, digest: str) -> Kernel:
        return self._store.read(digest)

    def list(self) -> list[Kernel]:
        return self._store.list()

    async def _make(self, name: str, source: Source, report: Report, *, architecture: str) -> Kernel:
        match source:
            case Distribution(recipe=recipe) if recipe == _DEBIAN_CLOUD:
                return await make_debian_kernel(
                    self._store, name, wanted=KERNELS[architecture], read_package=ArchiveTree, report=report
                )
            case Distribution(recipe=recipe):
                raise Unsupported(f"this banger has no recipe {recipe}", hint="use a newer banger")
            case _:
                raise Unsupported(f"{name} comes from a kind of source that this banger cannot use yet")
