"""The kernel store, and everything that kernels can be made from."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Final, Protocol

from banger.catalogue.document import Bundle, Distribution, OciSource
from banger.catalogue.shelf import Found, Opened
from banger.core.content_store import digest_file
from banger.core.errors import Denied, NotFound, Unsupported
from banger.core.layout import Layout
from banger.core.nearest import hint_nearest
from banger.core.platforms import name_platform
from banger.core.progress import Progress
from banger.core.provenance import Provenance
from banger.core.threads import run_in_thread
from banger.daemon.collaborators import Pruned
from banger.daemon.host_catalogues import (
    Catalogues,
    describe_bundle,
    describe_waiting,
    estimate_bytes,
    fetch_bundle,
    prune_unnamed,
)
from banger.disk.decompression import ExpansionLimits, LayerReader
from banger.disk.rootfs import ArchiveTree
from banger.image.blob_cache import BlobCache
from banger.kernel.debian import BUILD_BYTES, KERNELS, DebianKernel, make_debian_kernel
from banger.kernel.importing import KernelFiles, import_bundle, import_kernel
from banger.kernel.packing import ModuleTree
from banger.kernel.store import Kernel, KernelStore

Report = Callable[[Progress], None]


class Recipe(Protocol):
    """Makes a distribution's kernel: the newest, or again what once came from there."""

    def __call__(self, store: KernelStore, name: str, report: Report, came: Provenance | None) -> Awaitable[Kernel]: ...


class DebianCloud:
    """The default kernel."""

    def __init__(self, wanted: DebianKernel) -> None:
        self._wanted = wanted

    async def __call__(self, store: KernelStore, name: str, report: Report, came: Provenance | None) -> Kernel:
        return await make_debian_kernel(
            store, name, wanted=self._wanted, came=came, read_package=ArchiveTree, report=report
        )


# By name and architecture.
Recipes = Mapping[tuple[str, str], Recipe]
RECIPES: Final[Recipes] = MappingProxyType(
    {("debian-cloud", architecture): DebianCloud(wanted) for architecture, wanted in KERNELS.items()}
)


class HostKernels:
    """Kernels by name: those that are here, and those that a catalogue knows how to get."""

    def __init__(self, layout: Layout, catalogues: Catalogues, cache: BlobCache, *, recipes: Recipes = RECIPES) -> None:
        self._catalogues = catalogues
        self._cache = cache
        self._recipes = recipes
        self._store = KernelStore(layout.kernels)

    async def clear_up(self) -> None:
        await run_in_thread(lambda _check: self._store.content.remove_drafts())

    async def needed_bytes(self, name: str, report: Report, *, architecture: str) -> int:
        if self._store.find(name, architecture) is not None:
            return 0
        found = await self._catalogues.find("kernel", name, name_platform(architecture), report)
        return estimate_bytes(found, build_bytes=BUILD_BYTES)

    async def ensure(self, name: str, report: Report, *, architecture: str, current: bool = False) -> Kernel:
        kernel = self._store.find(name, architecture)
        if kernel is not None and not current:
            return kernel
        found = await self._catalogues.find("kernel", name, name_platform(architecture), report)
        if found is None:
            if kernel is not None:
                return kernel
            raise _missing(name, architecture, {kernel.name for kernel in self._store.list()})
        async with self._store.content.making(name, describe_waiting(report, "kernel", name)):
            kernel = self._store.find(name, architecture)
            if kernel is not None and (not current or _is_made_of(kernel, found)):
                return kernel
            return await self._make(name, found, report, architecture=architecture)

    async def get_again(
        self, name: str, came: Provenance, report: Report, *, architecture: str, store_as: str, digest: str
    ) -> Kernel:
        found = await self._catalogues.find("kernel", name, name_platform(architecture), report)
        if found is None:
            raise _missing(name, architecture, {kernel.name for kernel in self._store.list()})
        async with self._store.content.making(store_as, describe_waiting(report, "kernel", store_as)):
            match found.entry.source:
                case Bundle(digest=bundle) if bundle != came.digest:
                    raise Denied(
                        f"the kernel {name} of the catalogue {found.catalogue} is now made of {bundle},"
                        f" no longer of {came.digest}",
                        hint="use the newer one, or a computer that still has this one",
                    )
                case _:
                    kernel = await self._make(store_as, found, report, architecture=architecture, came=came)
            if kernel.digest != digest:  # not the one that was asked for: removed by the next prune
                in_use = frozenset((kernel.digest,))
                await asyncio.to_thread(self._store.remove, store_as, in_use=in_use, architecture=architecture)
            return kernel

    async def verify(self, kernel: Kernel) -> None:
        await run_in_thread(lambda _check: self._store.verify(kernel))

    async def available(self, report: Report) -> tuple[Sequence[Found], Sequence[Opened]]:
        return await self._catalogues.list("kernel", report)

    async def import_files(self, name: str, files: KernelFiles, report: Report) -> Kernel:
        async with self._store.content.making(name, describe_waiting(report, "kernel", name)):
            report(Progress(stage="kernel", text=f"reading {name}"))
            return await run_in_thread(
                lambda check: import_kernel(self._store, name, files, open_tree=open_tree, check=check)
            )

    def find(self, name: str, architecture: str | None = None) -> Kernel | None:
        return self._store.find(name, architecture)

    def read(self, digest: str) -> Kernel:
        return self._store.read(digest)

    def list(self) -> list[Kernel]:
        return self._store.list()

    def remove(self, name: str, *, in_use: frozenset[str], architecture: str | None = None) -> bool:
        return self._store.remove(name, in_use=in_use, architecture=architecture)

    def prune(self, *, in_use: frozenset[str], dry_run: bool) -> Pruned:
        return prune_unnamed(self._store.content, in_use=in_use, dry_run=dry_run)

    async def _make(
        self, name: str, found: Found, report: Report, *, architecture: str, came: Provenance | None = None
    ) -> Kernel:
        match found.entry.source:
            case Distribution(recipe=recipe):
                make = self._recipes.get((recipe, architecture))
                if make is None:
                    raise Unsupported(
                        f"this banger has no recipe {recipe} for {name_platform(architecture)}",
                        hint="use a newer version of banger",
                    )
                return await make(self._store, name, report, came)
            case Bundle() as bundle:
                return await self._unpack(name, bundle, found, report)
            case OciSource():
                raise Unsupported(f"the kernel {name} cannot be an OCI image", hint="tell the catalogue's maintainer")

    async def _unpack(self, name: str, bundle: Bundle, found: Found, report: Report) -> Kernel:
        async with self._cache.in_use():
            path = await fetch_bundle(self._cache, bundle, name, report)
            report(Progress(stage="kernel", text=f"unpacking {name}"))

            def work(check: Callable[[], None]) -> Kernel:
                with self._store.content.draft() as draft, open_tree(path, draft, digest=bundle.digest) as tree:
                    check()
                    return import_bundle(
                        self._store,
                        name,
                        draft,
                        tree,
                        source=bundle.url,
                        provenance=describe_bundle(bundle, found),
                    )

            return await run_in_thread(work)


def _missing(name: str, architecture: str, known: Iterable[str]) -> NotFound:
    return NotFound(
        f"there is no kernel named {ascii(name)[1:-1]} for {architecture} guests",
        hint=hint_nearest(
            name,
            known,
            otherwise="`banger kernel list` shows those that are here, and with --available those that can be pulled",
        ),
    )


def _is_made_of(kernel: Kernel, found: Found) -> bool:
    """Whether getting the kernel again would change nothing. Of a distribution's, only the distribution knows."""
    source = found.entry.source
    return isinstance(source, Bundle) and kernel.provenance.digest == source.digest


@contextmanager
def open_tree(archive: Path, draft: Path, *, digest: str | None = None) -> Iterator[ModuleTree]:
    """The tree of an archive, compressed or not."""
    with archive.open("rb") as source:
        reader = LayerReader(
            source,
            media_type="",
            digest=digest or digest_file(archive),
            size=os.fstat(source.fileno()).st_size,
            diff_id=None,
            limits=ExpansionLimits(),
        )
        with closing(ArchiveTree(reader.content, scratch=draft)) as tree:
            reader.finish()
            yield tree
