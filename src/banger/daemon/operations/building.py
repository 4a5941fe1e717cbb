"""`image build`: an image from another image and a recipe, made in a guest that is thrown away."""

from __future__ import annotations

import asyncio
import os
import posixpath
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from banger.api.messages import ImageView, SpecRequest
from banger.core.content_store import digest_file
from banger.core.errors import AlreadyExists, Failed, Invalid
from banger.core.names import parse_image_name
from banger.core.processes import guest_proxies
from banger.core.provenance import Provenance
from banger.core.reading import read_bounded
from banger.core.untrusted import printable
from banger.daemon.collaborators import Images, Kernels, Packages
from banger.daemon.context import Request
from banger.daemon.operations.build_guest import BuildGuest, list_recipe_files
from banger.daemon.operations.images import view_image
from banger.daemon.operations.plan import PlanVm
from banger.daemon.operations.saving import ReadRoot
from banger.daemon.operations.throwaway import ThrowawayVms
from banger.daemon.progress import reporter
from banger.guest.tree_pack import HostFile, PackEntry
from banger.image.build_recipe import (
    SIZE_LIMIT_BYTES,
    Recipe,
    digest_recipe,
    parse_recipe,
    plan_build_environment,
    plan_run,
)
from banger.image.debian_packages import (
    RELEASE_FILE,
    RELEASE_LIMIT_BYTES,
    STATUS_FILE,
    STATUS_LIMIT_BYTES,
    read_debian,
)
from banger.image.pinned import fetch_wanted
from banger.image.saving import SavedRoot
from banger.image.store import Image

PURPOSE: Final = "image-build"


class BuildImage:
    """The use case."""

    def __init__(
        self,
        *,
        images: Images,
        kernels: Kernels,
        packages: Packages,
        plan: PlanVm,
        throwaway: ThrowawayVms,
        read_root: ReadRoot,
    ) -> None:
        self._images = images
        self._kernels = kernels
        self._packages = packages
        self._plan = plan
        self._throwaway = throwaway
        self._read_root = read_root

    async def __call__(self, request: Request, *, path: str, name: str) -> ImageView:
        """Build an image called `name` from the recipe at an absolute path. When anything fails, nothing is left."""
        parse_image_name(name)
        if self._images.find(name) is not None:
            raise AlreadyExists(f"there is already an image named {name}", hint="choose another --name")
        text, directory = await asyncio.to_thread(read_recipe, path)
        file = os.path.basename(path)
        recipe = parse_recipe(text, file=file)
        files = await asyncio.to_thread(list_recipe_files, directory, recipe.files)
        digest = await asyncio.to_thread(digest_files, text, files)
        spec = await self._plan(request, ask_for(recipe), attended=True)
        base = self._images.read(spec.image_digest)
        check_base(recipe, base, file=file)
        kernel = self._kernels.read(spec.kernel_digest)
        saved = SavedRoot(
            architecture=base.architecture,
            environment={**base.environment, **recipe.environment},
            run=plan_run(recipe, base.run),
            source=f"built by {printable(file, limit=100)} on {base.name}",
            provenance=Provenance(kind="recipe", reference=file, digest=digest, base=base.digest),
            hint="have the last command of the recipe remove it",
        )
        async with AsyncExitStack() as stack:
            files = [*files, *await self._download(request, recipe, stack)]
            guest = await stack.enter_async_context(self._throwaway.made(request, spec, purpose=PURPOSE))
            channel = await guest.boot(nat=recipe.network)
            proxies = guest_proxies() if recipe.network else {}
            environment = plan_build_environment(base.environment, recipe.environment, more=proxies)
            await self._fill(request, BuildGuest(channel, environment, reporter(request)), recipe, files, base)
            # Whatever the commands left running or mounted is gone when the root is read.
            await guest.switch_off()
            channel = await guest.boot()
            image = await self._read_root(request, name, channel, saved, spec=spec, base=base, kernel=kernel)
        return view_image(image)

    async def _download(
        self, request: Request, recipe: Recipe, stack: AsyncExitStack
    ) -> list[tuple[str, list[PackEntry]]]:
        """Download what the recipe names by address, as files that exist until `stack` is left."""
        if not recipe.downloads:
            return []
        report = reporter(request)
        fetch = await stack.enter_async_context(self._packages.fetching(report))
        found: list[tuple[str, list[PackEntry]]] = []
        for download in recipe.downloads:
            path = await fetch_wanted(download.pinned, fetch, report)
            if path is not None:
                parent, name = posixpath.split(download.path)
                entry = HostFile(
                    path=os.fsencode(name), root=path.parent, name=os.fsencode(path.name), mode=download.mode_bits
                )
                found.append((parent, [entry]))
        return found

    async def _fill(
        self,
        request: Request,
        guest: BuildGuest,
        recipe: Recipe,
        files: Sequence[tuple[str, Sequence[PackEntry]]],
        base: Image,
    ) -> None:
        """Add packages, files and the results of commands, in this order."""
        if recipe.packages:
            await self._install(request, guest, recipe.packages, base)
        for destination, entries in files:
            await guest.put(destination, entries)
        for number, (argv, command) in enumerate(zip(recipe.argvs, recipe.commands, strict=True), start=1):
            shown = command if isinstance(command, str) else " ".join(command)
            await guest.run(argv, stage=f"command {number}", shown=shown)

    async def _install(self, request: Request, guest: BuildGuest, packages: Sequence[str], base: Image) -> None:
        """Download packages that fit the guest, on the host, and have the guest install them."""
        release = await guest.read(RELEASE_FILE, limit_bytes=RELEASE_LIMIT_BYTES)
        status = await guest.read(STATUS_FILE, limit_bytes=STATUS_LIMIT_BYTES)
        debian = read_debian(release or "", status, architecture=base.architecture)
        report = reporter(request)
        async with self._packages.downloaded(packages, debian, architecture=base.architecture, report=report) as found:
            if found:
                await guest.install(found)


def ask_for(recipe: Recipe) -> SpecRequest:
    """The request for the machine that a recipe is built in."""
    return {
        "name": None,
        "image": recipe.base,
        "vcpu": recipe.vcpu,
        "memory_mib": recipe.memory_mib,
        "disk_bytes": recipe.disk_bytes,
        "nat": recipe.network,
        "ttl_s": None,
    }


def check_base(recipe: Recipe, base: Image, *, file: str) -> None:
    """Raise `Failed` if the recipe was written for an image with another digest."""
    if recipe.base_digest not in (None, base.digest):
        raise Failed(
            f"{printable(file, limit=200)} is for an image {recipe.base} of {recipe.base_digest},"
            f" but the one here is {base.digest}",
            hint="check that the recipe suits this one, then write its digest into the recipe",
        )


def read_recipe(path: str) -> tuple[bytes, Path]:
    """The text of a recipe and its directory. Blocking. Raises `Invalid`, `NotFound`."""
    if not path.startswith("/"):
        raise Invalid("the path of the recipe is not absolute")
    shown = printable(os.path.basename(path), limit=200)
    return read_bounded(Path(path), limit_bytes=SIZE_LIMIT_BYTES, what=shown), Path(path).parent


def digest_files(text: bytes, files: Sequence[tuple[str, Sequence[PackEntry]]]) -> str:
    """The digest of a recipe with its files. Blocking."""
    listed = [
        (
            f"{destination}/{os.fsdecode(entry.path)}",
            digest_file(Path(os.fsdecode(os.path.join(bytes(entry.root), entry.name))))
            if isinstance(entry, HostFile)
            else "directory",
            entry.mode if isinstance(entry, HostFile) else None,
        )
        for destination, entries in files
        for entry in entries
    ]
    return digest_recipe(text, listed)
