"""`banger lock` and `vm run --locked`: exactly these, by digest, or nothing."""

from __future__ import annotations

from banger.api.messages import LockRequest, LockView, PinView
from banger.core.config.defaults import Defaults
from banger.core.errors import Denied, NotFound
from banger.core.lock_file import SOURCES, Pin, check_pin
from banger.core.platforms import name_platform, parse_platform
from banger.core.provenance import Provenance
from banger.daemon.collaborators import Images, Kernels
from banger.daemon.context import Request
from banger.daemon.progress import reporter
from banger.image.reference import parse_reference
from banger.image.store import Image
from banger.kernel.store import Kernel


class Locking:
    """Writes pins of what is here, and gets what is pinned."""

    def __init__(self, *, images: Images, kernels: Kernels, defaults: Defaults) -> None:
        self._images = images
        self._kernels = kernels
        self._defaults = defaults

    async def lock(self, request: Request, asked: LockRequest) -> LockView:
        """Pin an image and a kernel, getting them first if they are not here."""
        name = asked["image"] or self._defaults.image
        platform = asked["platform"]
        architecture = await self._images.find_architecture(name, parse_platform(platform) if platform else None)
        image = await self._images.ensure(name, reporter(request), architecture=architecture)
        kernel_name = asked["kernel"] or image.kernel or self._defaults.kernel
        kernel = await self._kernels.ensure(kernel_name, reporter(request), architecture=architecture)
        return {"image": _pin(image), "kernel": _pin(kernel)}

    async def resolve(self, request: Request, lock: LockView) -> tuple[Image, Kernel]:
        """The image and the kernel of a lock file. Raises `Denied` naming both digests when what there is differs."""
        image_pin, kernel_pin = (check_pin(Pin(**lock[part])) for part in ("image", "kernel"))
        image = await self._get_image(request, image_pin)
        kernel = await self._get_kernel(request, kernel_pin)
        for kind, found, pin in (("image", image, image_pin), ("kernel", kernel, kernel_pin)):
            if found.digest != pin.digest or name_platform(found.architecture) != pin.platform:
                raise Denied(
                    f"banger.lock pins the {kind} {pin.name} at {pin.digest} for {pin.platform},"
                    f" but what is available is {found.digest} for {name_platform(found.architecture)}",
                    hint="`banger lock` pins what is here now; `git log banger.lock` shows who pinned the other one",
                )
        await self._images.verify(image)
        await self._kernels.verify(kernel)
        return image, kernel

    async def _get_image(self, request: Request, pin: Pin) -> Image:
        try:
            return self._images.read(pin.digest)
        except NotFound:
            pass
        architecture, report = parse_platform(pin.platform), reporter(request)
        match pin.source:
            case "oci" if pin.fetched:
                reference = parse_reference(pin.reference).at(pin.fetched)
                request.notice(f"pulling {reference} for banger.lock")
                return await self._images.pull(reference, self._free_name(pin), report, architecture=architecture)
            case "distribution":
                raise self._built_elsewhere(pin)
            case "bundle":
                return await self._images.ensure(pin.name, report, architecture=architecture, current=True)
        raise _not_here("image", pin)

    async def _get_kernel(self, request: Request, pin: Pin) -> Kernel:
        try:
            return self._kernels.read(pin.digest)
        except NotFound:
            pass
        if pin.source in ("distribution", "bundle"):
            architecture = parse_platform(pin.platform)
            came = Provenance(kind=pin.source, reference=pin.reference, digest=pin.fetched)
            taken = self._kernels.find(pin.name, architecture) is not None
            request.notice(f"getting the kernel {pin.name} again for banger.lock: {pin.reference}")
            return await self._kernels.get_again(
                pin.name,
                came,
                reporter(request),
                architecture=architecture,
                store_as=_own_name(pin) if taken else pin.name,
                digest=pin.digest,
            )
        raise _not_here("kernel", pin)

    def _built_elsewhere(self, pin: Pin) -> Denied:
        """No build is made the same again: the archive moves on, and the times of the build are in its files."""
        here = self._images.find(pin.name, parse_platform(pin.platform))
        other = "" if here is None else f"; the one that was built here is {here.digest}"
        return Denied(
            f"banger.lock wants the image {pin.name} as {pin.digest}, which was built on another computer or has been"
            f" replaced, and no build from a distribution's archive gives the same image again{other}",
            hint=f"`banger lock` pins the one of this computer; for one that every computer can get, put a"
            f" {pin.name} into a registry and pin that: `banger lock --image REGISTRY/IMAGE`",
        )

    def _free_name(self, pin: Pin) -> str:
        """The pinned name, unless another image has it here."""
        return pin.name if self._images.find(pin.name) is None else _own_name(pin)


def _own_name(pin: Pin) -> str:
    return f"locked-{pin.digest[7:19]}"


def _pin(item: Image | Kernel) -> PinView:
    provenance: Provenance = item.provenance
    known = provenance.kind in SOURCES
    return {
        "name": item.name,
        "platform": name_platform(item.architecture),
        "digest": item.digest,
        "source": provenance.kind if known else "other",
        "reference": provenance.reference if known else "",  # a path on this computer is nobody else's business
        "fetched": provenance.digest if known else "",
    }


def _not_here(kind: str, pin: Pin) -> NotFound:
    return NotFound(
        f"the {kind} {pin.name} of banger.lock ({pin.digest}) is not here, and was made from files",
        hint=f"get those files from whoever wrote the lock file: `banger {kind} import`",
    )
