"""The image store, and everything that images can be made from."""

from __future__ import annotations

import asyncio
import getpass
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, Final, Protocol

from banger.catalogue.document import Bundle, Distribution, OciSource
from banger.catalogue.shelf import Found, Opened
from banger.core.debian import read_host_sources
from banger.core.errors import AlreadyExists, BangerError, Invalid, NotFound, Unsupported
from banger.core.feeding import run_fed
from banger.core.layout import Layout
from banger.core.nearest import hint_nearest
from banger.core.platforms import host_architecture, name_platform
from banger.core.progress import Progress
from banger.core.provenance import Provenance
from banger.core.threads import from_thread, run_in_thread
from banger.daemon.collaborators import Exported, Pruned
from banger.daemon.host_archives import import_path
from banger.daemon.host_catalogues import (
    Catalogues,
    describe_bundle,
    describe_waiting,
    estimate_bytes,
    fetch_bundle,
    fetch_pinned,
    prune_unnamed,
)
from banger.daemon.host_export import export_pieces
from banger.daemon.host_registry import HostRegistry, describe_fetched
from banger.disk import space
from banger.disk.rootfs import ArchiveTree, LayerTree
from banger.disk.shelf import LayerShelf
from banger.image.blob_cache import BlobCache
from banger.image.debian_dev import DEV_IMAGES
from banger.image.distribution import make_debian_image
from banger.image.exporting import ExportFormat
from banger.image.layered import make_layered_image
from banger.image.naming import looks_like_reference, name_reference
from banger.image.platforms import platform_of_machine
from banger.image.recipe import IMAGES, DebianImage, fingerprint
from banger.image.reference import Reference, parse_reference
from banger.image.registered import check_unchanged
from banger.image.registering import promote, register
from banger.image.sandbox import clear_abandoned_builds, read_host_facts
from banger.image.saving import SavedRoot, make_saved_image
from banger.image.store import Image, ImageStore

Report = Callable[[Progress], None]
PARTIALS_KEPT_S: Final = 7 * 86400.0  # so that an interrupted pull can resume


class Recipe(Protocol):
    """How a distribution's image is made."""

    @property
    def fingerprint(self) -> str:
        """Tells an image of this recipe from one of an older recipe."""

    @property
    def build_bytes(self) -> int:
        """The disk space that a build needs."""

    def make(self, store: ImageStore, name: str, cache: BlobCache, report: Report) -> Awaitable[Image]:
        """Make it, and publish it as `name`."""


class DebianRecipe:
    """A recipe of banger's own, for one architecture."""

    def __init__(self, wanted: DebianImage) -> None:
        self._wanted = wanted
        self.fingerprint = fingerprint(wanted)
        self.build_bytes = wanted.build_bytes

    async def make(self, store: ImageStore, name: str, cache: BlobCache, report: Report) -> Image:
        return await make_debian_image(
            store,
            name,
            wanted=self._wanted,
            host_sources=read_host_sources(),
            facts=read_host_facts(getpass.getuser()),
            read_rootfs=ArchiveTree,
            report=report,
            fetch=partial(fetch_pinned, cache, report=report),
        )


# By name and architecture.
Recipes = Mapping[tuple[str, str], Recipe]
RECIPES: Final[Recipes] = MappingProxyType(
    {
        (name, architecture): DebianRecipe(wanted)
        for name, images in (("debian-bookworm", IMAGES), ("debian-dev", DEV_IMAGES))
        for architecture, wanted in images.items()
    }
)


class HostImages:
    """Images by name: those that are here, and those that a catalogue knows how to get."""

    def __init__(
        self,
        layout: Layout,
        catalogues: Catalogues,
        registry: HostRegistry,
        *,
        recipes: Recipes = RECIPES,
    ) -> None:
        self._layout = layout
        self._catalogues = catalogues
        self._registry = registry
        self._recipes = recipes
        self._store = ImageStore(layout.images)
        self._shelf = LayerShelf(layout.layers)
        self._read_layers = partial(LayerTree, shelf=self._shelf)

    async def clear_up(self) -> None:
        await clear_abandoned_builds(self._store.content)

    async def needed_bytes(self, name: str, report: Report, *, architecture: str) -> int:
        if self._store.find(name, architecture) is not None:
            return 0
        found = await self._catalogues.find("image", name, name_platform(architecture), report)
        source = found.entry.source if found is not None else None
        build_bytes = self._recipe(source, architecture).build_bytes if isinstance(source, Distribution) else 0
        return estimate_bytes(found, build_bytes=build_bytes)

    async def find_architecture(self, name: str, asked: str | None) -> str:
        own = host_architecture()
        image = self._store.find(name)
        if asked is not None or image is None or image.architecture == own:
            return asked or own
        if not image.recipe and not image.provenance.catalogue:
            return image.architecture  # made by the user: no catalogue has it for another architecture
        found = await self._catalogues.find("image", name, name_platform(own), lambda _progress: None)
        return own if found is not None else image.architecture

    async def ensure(self, name: str, report: Report, *, architecture: str, current: bool = False) -> Image:
        image = self._store.find(name, architecture)
        if image is not None and not current:
            self.check(image)
            return image
        found = await self._catalogues.find("image", name, name_platform(architecture), report)
        if found is None:
            if looks_like_reference(name):
                return await self._ensure_reference(
                    parse_reference(name), report, architecture=architecture, current=current
                )
            if image is not None:
                return image
            raise self._missing(name, architecture)
        async with self._store.content.making(name, describe_waiting(report, "image", name)):
            image = self._store.find(name, architecture)
            if image is not None and (not current or self._is_made_of(image, found)):
                return image
            return await self._make(name, found, report, architecture=architecture)

    async def pull(self, reference: Reference, name: str, report: Report, *, architecture: str) -> Image:
        """Pull an image from a registry, unless that very image is here under that name."""
        async with self._store.content.making(name, describe_waiting(report, "image", name)):
            return await self._fetch(reference, name, report, architecture=architecture)

    async def _fetch(
        self,
        reference: Reference,
        name: str,
        report: Report,
        *,
        architecture: str,
        catalogue: str = "",
        signer: str = "",
    ) -> Image:
        """Pull; the caller holds the lock of the name. An image that a catalogue names replaces what had the name."""
        async with self._registry.fetched(reference, platform_of_machine(architecture), report) as fetched:
            origin = Provenance(
                kind="oci", reference=str(reference), digest=fetched.digest, catalogue=catalogue, signer=signer
            )
            image = self._store.find(name, architecture)
            if image is not None and image.provenance == origin:
                return image
            if image is not None and image.provenance.reference != str(reference) and not catalogue:
                raise AlreadyExists(f"there is already an image named {name}", hint="choose another --name")
            tell = from_thread(report)
            return await run_in_thread(
                lambda check: make_layered_image(
                    self._store,
                    name,
                    describe_fetched(fetched),
                    read_layers=self._read_layers,
                    origin=reference.familiar,
                    provenance=origin,
                    report=tell,
                    check=check,
                )
            )

    async def import_path(
        self, name: str, path: Path, report: Report, *, tag: str | None, architecture: str | None
    ) -> Image:
        tell = from_thread(report)
        async with self._store.content.making(name, describe_waiting(report, "image", name)):
            return await run_in_thread(
                lambda check: import_path(
                    self._store,
                    name,
                    path,
                    read_layers=self._read_layers,
                    tag=tag,
                    architecture=architecture,
                    report=tell,
                    check=check,
                )
            )

    async def register(self, name: str, path: Path, report: Report, *, init: str | None, architecture: str) -> Image:
        tell = from_thread(report)
        async with self._store.content.making(name, describe_waiting(report, "image", name)):
            return await run_in_thread(
                lambda check: register(
                    self._store, name, path, init=init, architecture=architecture, report=tell, check=check
                )
            )

    async def promote(self, image: Image, report: Report) -> Image:
        tell = from_thread(report)
        async with self._store.content.making(image.name, describe_waiting(report, "image", image.name)):
            space.check_free_space(self._layout.images, needed_bytes=image.size_bytes)
            current = self._store.find(image.name, image.architecture) or image
            return await run_in_thread(lambda check: promote(self._store, current, report=tell, check=check))

    def check(self, image: Image) -> None:
        if image.file is not None:
            check_unchanged(image.file)

    async def verify(self, image: Image) -> None:
        await run_in_thread(lambda _check: self._store.verify(image))

    async def available(self, report: Report) -> tuple[Sequence[Found], Sequence[Opened]]:
        return await self._catalogues.list("image", report)

    async def save(self, name: str, archive: AsyncGenerator[bytes, None], saved: SavedRoot, report: Report) -> Image:
        tell = from_thread(report)

        def work(source: BinaryIO, check: Callable[[], None]) -> Image:
            return make_saved_image(self._store, name, source, saved, read_rootfs=ArchiveTree, report=tell, check=check)

        async with self._store.content.making(name, describe_waiting(report, "image", name)):
            if self._store.find(name) is not None:
                raise AlreadyExists(f"there is already an image named {name}", hint="choose another name")
            return await run_fed(archive, work)

    def find(self, name: str, architecture: str | None = None) -> Image | None:
        if looks_like_reference(name):
            return self._find_pulled(parse_reference(name), architecture)
        return self._store.find(name, architecture)

    def set_machine(self, image: Image, *, kernel: str | None, disk_bytes: int | None) -> Image:
        return self._store.set_machine(image, kernel=kernel, disk_bytes=disk_bytes)

    def remove(self, name: str, *, in_use: frozenset[str], architecture: str | None = None) -> bool:
        return self._store.remove(name, in_use=in_use, architecture=architecture)

    def export(self, image: Image, format_: ExportFormat, exported: Exported, report: Report) -> Generator[bytes]:
        return export_pieces(self._store, image, format_, exported, report)

    def prune(self, *, in_use: frozenset[str], dry_run: bool) -> Pruned:
        return prune_unnamed(self._store.content, in_use=in_use, dry_run=dry_run)

    async def prune_downloads(self, *, dry_run: bool) -> Pruned:
        cache = self._registry.cache
        needed = {digest for image in await asyncio.to_thread(self._store.list) for digest in list_downloads(image)}
        old_s = time.time() - PARTIALS_KEPT_S
        unneeded = [
            blob
            for blob in await asyncio.to_thread(cache.list)
            if (blob.used_at_s < old_s if blob.is_partial else blob.digest not in needed)
        ]
        if not dry_run:
            await cache.remove(unneeded)
        return Pruned(number=len(unneeded), freed_bytes=sum(blob.size_bytes for blob in unneeded))

    async def prune_layers(self, *, dry_run: bool) -> Pruned:
        kept = await asyncio.to_thread(self._shelf.list)
        if not dry_run:
            await asyncio.to_thread(self._shelf.remove, kept)
        return Pruned(number=len(kept), freed_bytes=sum(layer.size_bytes for layer in kept))

    def read(self, digest: str) -> Image:
        return self._store.read(digest)

    def list(self) -> list[Image]:
        return self._store.list()

    def _find_pulled(self, reference: Reference, architecture: str | None) -> Image | None:
        """The image that was pulled by this reference before, if any."""
        of_it = (image for image in self._store.list() if image.provenance.reference == str(reference))
        return next((image for image in of_it if architecture in (None, image.architecture)), None)

    async def _ensure_reference(
        self, reference: Reference, report: Report, *, architecture: str, current: bool
    ) -> Image:
        """The image that was pulled by this reference before, else pulled now."""
        image = self._find_pulled(reference, architecture)
        if image is not None and not current:
            return image
        name = image.name if image is not None else name_reference(reference)
        return await self.pull(reference, name, report, architecture=architecture)

    def _missing(self, name: str, architecture: str) -> BangerError:
        shown = ascii(name)[1:-1]
        other = self._store.find(name)
        if other is not None:
            return Invalid(
                f"the image {shown} is for {name_platform(other.architecture)}, not for {name_platform(architecture)}",
                hint="`banger image list` shows what each image is for",
            )
        return NotFound(
            f"there is no image named {shown}",
            hint=hint_nearest(
                name,
                {image.name for image in self._store.list()},
                otherwise="`banger image list` shows the images; `banger image pull REFERENCE` gets one from a "
                "registry, `banger image import FILE --name NAME` makes one",
            ),
        )

    def _is_made_of(self, image: Image, found: Found) -> bool:
        """Whether getting the image again would change nothing."""
        match found.entry.source:
            case Distribution() as source:
                return image.recipe == self._recipe(source, image.architecture).fingerprint
            case OciSource(reference=reference):
                return image.provenance.reference == str(parse_reference(reference))
            case Bundle(digest=digest):
                return (image.provenance.kind, image.provenance.digest) == ("bundle", digest)

    async def _make(self, name: str, found: Found, report: Report, *, architecture: str) -> Image:
        match found.entry.source:
            case Distribution() as source:
                recipe = self._recipe(source, architecture)
                space.check_free_space(self._layout.images, needed_bytes=recipe.build_bytes, keeps=space.IMAGES)
                async with self._registry.cache.in_use():
                    return await recipe.make(self._store, name, self._registry.cache, report)
            case OciSource(reference=reference):
                return await self._fetch(
                    parse_reference(reference),
                    name,
                    report,
                    architecture=architecture,
                    catalogue=found.catalogue,
                    signer=found.signer,
                )
            case Bundle() as bundle:
                return await self._unpack(name, bundle, found, report, architecture=architecture)

    async def _unpack(self, name: str, bundle: Bundle, found: Found, report: Report, *, architecture: str) -> Image:
        """An image from the root file system, or the saved image, in a bundle."""
        tell = from_thread(report)
        cache = self._registry.cache
        async with cache.in_use():
            path = await fetch_bundle(cache, bundle, name, report)
            return await run_in_thread(
                lambda check: import_path(
                    self._store,
                    name,
                    path,
                    read_layers=self._read_layers,
                    tag=None,
                    architecture=architecture,
                    report=tell,
                    check=check,
                    provenance=describe_bundle(bundle, found),
                )
            )

    def _recipe(self, source: Distribution, architecture: str) -> Recipe:
        recipe = self._recipes.get((source.recipe, architecture))
        if recipe is None:
            raise Unsupported(
                f"this banger has no recipe {source.recipe} for {name_platform(architecture)}",
                hint="use a newer version of banger",
            )
        return recipe


def list_downloads(image: Image) -> set[str]:
    """Digests of the downloads for an image, which an image that shares layers would need again."""
    layers = {str(layer["digest"]) for layer in image.oci.get("layers", [])}
    return {*layers, str(image.oci.get("digest", "")), image.provenance.digest}
