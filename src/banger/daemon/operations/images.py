"""Images as clients see them."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Final

from banger.api.messages import (
    AvailableResult,
    ImageDetail,
    ImageView,
    ImportRequest,
    NamesRequest,
    NamesResult,
    PackageView,
    PromoteRequest,
    PullRequest,
    RegisterRequest,
)
from banger.core.config.defaults import Defaults
from banger.core.errors import AlreadyExists, Invalid, NotFound
from banger.core.names import parse_image_name
from banger.core.platforms import host_architecture
from banger.core.untrusted import printable
from banger.core.vm import check_disk_size
from banger.daemon.collaborators import Images, Kernels
from banger.daemon.context import Request
from banger.daemon.operations.room import CheckRoom
from banger.daemon.operations.stored import (
    Users,
    missing,
    read_platform,
    remove_each,
    view_available,
    view_provenance,
)
from banger.daemon.progress import reporter
from banger.image.packages import Packages, parse_packages
from banger.image.reference import parse_reference
from banger.image.store import Image

_NO_LIST: Final = "no package manager that banger knows has a list in it"
_INIT: Final = re.compile(r"/[\x21-\x7e]{1,254}")


class ImageVerbs:
    """Lists, shows, pulls, imports and deletes."""

    def __init__(
        self, *, images: Images, kernels: Kernels, defaults: Defaults, users: Users, check_room: CheckRoom
    ) -> None:
        self._images = images
        self._users = users
        self._kernels = kernels
        self._defaults = defaults
        self._check_room = check_room

    async def list(self) -> list[ImageView]:
        return [view_image(image) for image in await asyncio.to_thread(self._images.list)]

    async def available(self, request: Request) -> AvailableResult:
        """List what catalogues have."""
        found, opened = await self._images.available(reporter(request))
        return await view_available(request, self._images, found, opened)

    async def show(self, name: str, platform: str | None = None) -> ImageDetail:
        """Show everything about one. Raises `NotFound`."""
        image = self._find(name, platform)
        text = None if image.packages is None else await asyncio.to_thread(image.packages.read_text)
        found = Packages((), unknown=_NO_LIST) if text is None else parse_packages(text)
        packages: list[PackageView] = [{"name": package.name, "version": package.version} for package in found.packages]
        return {
            **view_image(image),
            "provenance": view_provenance(image.provenance),
            "layers": [
                {"digest": str(layer["digest"]), "size_bytes": int(layer["size_bytes"])}
                for layer in image.oci.get("layers", [])
            ],
            "packages": None if found.unknown else packages,
            "packages_format": found.format,
            "packages_distribution": found.distribution,
            "packages_unknown": found.unknown,
            "environment": dict(image.environment),
            "kernel": image.kernel or None,
            "disk_bytes": image.disk_bytes or None,
            "vms": sorted((await self._users.by_digest()).get(image.digest, [])),
        }

    async def delete(self, request: Request, asked: NamesRequest) -> NamesResult:
        """Remove images that no VM uses."""
        return await remove_each(request, asked, kind="image", store=self._images, users=self._users)

    async def pull(self, request: Request, asked: PullRequest) -> ImageView:
        """Make sure that the image is here as its source has it now, and its kernel too.

        Without a `name`, what is asked for is a name of a catalogue, or else a registry's reference.
        """
        wanted, name, report = asked["image"], asked["name"], reporter(request)
        if name is not None:
            parse_image_name(name)
        kernel, disk_bytes = asked.get("kernel"), asked.get("disk_bytes")
        if disk_bytes is not None:
            check_disk_size(disk_bytes)
        architecture = await self._images.find_architecture(name or wanted, read_platform(asked.get("platform")))
        kernel_name = kernel or self._defaults.kernel
        await self._check_room(report, image=wanted, kernel=kernel_name, architecture=architecture)
        await self._kernels.ensure(kernel_name, report, architecture=architecture)
        if name is None:
            image = await self._images.ensure(wanted, report, architecture=architecture, current=True)
        else:
            image = await self._images.pull(parse_reference(wanted), name, report, architecture=architecture)
        if kernel is not None or disk_bytes is not None:
            image = await asyncio.to_thread(self._images.set_machine, image, kernel=kernel, disk_bytes=disk_bytes)
        return view_image(image)

    async def import_path(self, request: Request, asked: ImportRequest) -> ImageView:
        """Make an image from an archive or an image layout on the host."""
        name, path = parse_image_name(asked["name"]), asked["path"]
        architecture = read_platform(asked.get("platform"))
        if self._images.find(name, architecture) is not None:
            raise AlreadyExists(f"there is already an image named {name}", hint="choose another --name")
        if not path.startswith("/"):
            raise Invalid("the path of the archive is not absolute")
        try:
            image = await self._images.import_path(
                name, Path(path), reporter(request), tag=asked["tag"], architecture=architecture
            )
        except OSError as error:
            if error.filename != str(Path(path)):  # else it is the disk that the image is written to
                raise
            raise NotFound(f"{printable(path)} cannot be read: {error.strerror}", hint="give a tar file") from error
        return view_image(image)

    async def register(self, request: Request, asked: RegisterRequest) -> ImageView:
        """Use a file system image in place."""
        name = parse_image_name(asked["name"])
        init = asked["init"]
        if init is not None and _INIT.fullmatch(init) is None:
            raise Invalid(f"{ascii(init[:80])} cannot be the path of an init", hint="write --init /lib/systemd/systemd")
        path = asked["path"]
        if not path.startswith("/") or not path.isprintable():
            raise Invalid(f"{ascii(path[:200])} is not an absolute path of printable text", hint="rename the file")
        architecture = read_platform(asked["platform"]) or host_architecture()
        return view_image(
            await self._images.register(name, Path(path), reporter(request), init=init, architecture=architecture)
        )

    async def promote(self, request: Request, asked: PromoteRequest) -> ImageView:
        """Copy a registered image into the store."""
        image = self._find(asked["name"], asked["platform"])
        return view_image(await self._images.promote(image, reporter(request)))

    def _find(self, name: str, platform: str | None) -> Image:
        image = self._images.find(name, read_platform(platform))
        if image is None:
            raise missing("image", name, platform, {image.name for image in self._images.list()})
        return image


def view_image(image: Image) -> ImageView:
    """An image as clients see it."""
    return {
        "name": image.name,
        "digest": image.digest,
        "architecture": image.architecture,
        "size_bytes": image.size_bytes,
        "init": image.init,
        "created_at_s": image.created_at_s,
        "source": image.source,
    }
