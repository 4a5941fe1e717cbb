"""The image store, and everything that images can be made from."""

from __future__ import annotations

import getpass
import platform
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import BinaryIO, Final, Protocol

from banger.catalogue.document import Distribution, Source
from banger.core.debian import read_host_sources
from banger.core.errors import NotFound, Unsupported
from banger.core.layout import Layout
from banger.core.progress import Progress
from banger.core.threads import from_thread, run_in_thread
from banger.daemon.host_catalogues import Catalogues, describe_waiting, here
from banger.disk.rootfs import ArchiveTree
from banger.disk.space import check_free_space
from banger.image.distribution import BUILD_BYTES, make_debian_image
from banger.image.importing import import_tar
from banger.image.recipe import X86_64, fingerprint
from banger.image.sandbox import clear_abandoned_builds, read_host_facts
from banger.image.store import Image, ImageStore

Report = Callable[[Progress], None]


class Recipe(Protocol):
    """How a distribution's image is made."""

    @property
    def fingerprint(self) -> str:
        """What tells an image of this recipe from one of an older one."""

    def make(self, store: ImageStore, name: str, report: Report) -> Awaitable[Image]:
        """Make it, and publish it as `name`."""


class DebianBookworm:
    """The default image."""

    fingerprint: Final = fingerprint(X86_64)

    async def make(self, store: ImageStore, name: str, report: Report) -> Image:
        return await make_debian_image(
            store,
            name,
            host_sources=read_host_sources(),
            facts=read_host_facts(getpass.getuser()),
            read_rootfs=ArchiveTree,
            report=report,
        )


RECIPES: Final[Mapping[str, Recipe]] = MappingProxyType({"debian-bookworm": DebianBookworm()})


class HostImages:
    """Images by name: those that are here, and those that a catalogue knows how to get."""

    def __init__(self, layout: Layout, catalogues: Catalogues, *, recipes: Mapping[str, Recipe] = RECIPES) -> None:
        self._layout = layout
        self._catalogues = catalogues
        self._recipes = recipes
        self._store = ImageStore(layout.images)

    async def clear_up(self) -> None:
        await clear_abandoned_builds(self._store.content)

    async def ensure(self, name: str, report: Report, *, current: bool = False) -> Image:
        image = self._store.find(name)
        if image is not None and not current:
            return image
        found = await self._catalogues.find("image", name, here(), report)
        if found is None:
            if image is not None:
                return image
            raise NotFound(
                f"there is no image named {ascii(name)[1:-1]}",
                hint="`banger image list` shows the images; `banger image import FILE --name NAME` makes one",
            )
        source = found.entry.source
        async with self._store.content.making(name, describe_waiting(report, "image", name)):
            image = self._store.find(name)
            if image is not None and (not current or self._is_made_of(image, source)):
                return image
            return await self._make(name, source, report)

    async def import_tar(self, name: str, tar: BinaryIO, report: Report) -> Image:
        tell = from_thread(report)

        def work(check: Callable[[], None]) -> Image:
            return import_tar(
                self._store,
                name,
                tar,
                read_rootfs=ArchiveTree,
                origin="imported archive",
                architecture=platform.machine(),
                report=tell,
                check=check,
            )

        async with self._store.content.making(name, describe_waiting(report, "image", name)):
            return await run_in_thread(work)

    def find(self, name: str) -> Image | None:
        return self._store.find(name)

    def read(self, digest: str) -> Image:
        return self._store.read(digest)

    def list(self) -> list[Image]:
        return self._store.list()

    def _is_made_of(self, image: Image, source: Source) -> bool:
        """Whether getting it again would make nothing new."""
        return isinstance(source, Distribution) and image.recipe == self._recipe(source).fingerprint

    async def _make(self, name: str, source: Source, report: Report) -> Image:
        match source:
            case Distribution():
                check_free_space(self._layout.images, needed_bytes=BUILD_BYTES)
                return await self._recipe(source).make(self._store, name, report)
            case _:
                raise Unsupported(f"{name} comes from a kind of source that this banger cannot use yet")

    def _recipe(self, source: Distribution) -> Recipe:
        recipe = self._recipes.get(source.recipe)
        if recipe is None:
            raise Unsupported(f"this banger has no recipe {source.recipe}", hint="use a newer banger")
        return recipe
