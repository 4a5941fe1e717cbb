"""Images as clients see them."""

from __future__ import annotations

import asyncio
from pathlib import Path

from banger.api.messages import ImageView
from banger.core.config.defaults import Defaults
from banger.core.errors import AlreadyExists, Invalid, NotFound
from banger.core.names import parse_vm_name
from banger.core.untrusted import printable
from banger.daemon.collaborators import Images, Kernels
from banger.daemon.context import Request
from banger.daemon.progress import reporter
from banger.image.store import Image


class ImageVerbs:
    """Lists, pulls and imports."""

    def __init__(self, *, images: Images, kernels: Kernels, defaults: Defaults) -> None:
        self._images = images
        self._kernels = kernels
        self._defaults = defaults

    async def list(self) -> list[ImageView]:
        return [view_image(image) for image in await asyncio.to_thread(self._images.list)]

    async def pull(self, request: Request, name: str) -> ImageView:
        """Make sure that the named image is here, as this version of banger makes it, and the default kernel."""
        await self._kernels.ensure(self._defaults.kernel, reporter(request))
        return view_image(await self._images.ensure(name, reporter(request), current=True))

    async def import_tar(self, request: Request, *, name: str, path: str) -> ImageView:
        """Make an image of a root file system archive on the host."""
        parse_vm_name(name)
        if self._images.find(name) is not None:
            raise AlreadyExists(f"there is already an image named {name}", hint="choose another --name")
        if not path.startswith("/"):
            raise Invalid("the path of the archive is not absolute")
        try:
            archive = await asyncio.to_thread(Path(path).open, "rb")
        except OSError as error:
            raise NotFound(f"{printable(path)} cannot be read: {error.strerror}", hint="give a tar file") from error
        with archive:
            return view_image(await self._images.import_tar(name, archive, reporter(request)))


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
