"""From a request to a complete spec, refusing what cannot work here before anything exists."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from banger.api.messages import SpecRequest
from banger.core.config.defaults import Defaults
from banger.core.platforms import parse_platform
from banger.core.vm import HostSize, VmSpec, check_sizes, check_sizes_here
from banger.daemon.collaborators import Chooser, Images, Kernels, Networks, Space
from banger.daemon.context import Request
from banger.daemon.operations.locking import Locking
from banger.daemon.operations.room import CheckRoom
from banger.daemon.progress import reporter
from banger.image.store import Image
from banger.kernel.store import Kernel


@dataclass(frozen=True, slots=True)
class ImageDefaults:
    """The defaults that an image has for its VMs, where the request says nothing; empty and 0 if it has none."""

    kernel: str = ""
    disk_bytes: int = 0

    def origins(self) -> dict[str, str]:
        """The origin of each of these values that is set."""
        values = {"kernel": self.kernel, "disk_bytes": self.disk_bytes}
        return {field: "image" for field, value in values.items() if value}


def find_image_defaults(image: Image | None, asked: SpecRequest) -> ImageDefaults:
    """The defaults of an image that is here, as far as the request leaves them open."""
    if image is None:
        return ImageDefaults()
    return ImageDefaults(
        kernel=image.kernel if asked.get("kernel") is None else "",
        disk_bytes=image.disk_bytes if asked["disk_bytes"] is None else 0,
    )


class PlanVm:
    """From a request to a `VmSpec`."""

    def __init__(
        self,
        *,
        locking: Locking,
        host: HostSize,
        defaults: Defaults,
        images: Images,
        kernels: Kernels,
        chooser: Chooser,
        networks: Networks,
        space: Space,
        check_room: CheckRoom,
    ) -> None:
        self._locking = locking
        self._host = host
        self._defaults = defaults
        self._images = images
        self._kernels = kernels
        self._chooser = chooser
        self._networks = networks
        self._space = space
        self._check_room = check_room

    async def __call__(self, request: Request, asked: SpecRequest, *, attended: bool) -> VmSpec:
        """Check sizes, space, network and VMM; get image and kernel if they are not here yet.

        In a VM that is not attended, the image's own program starts with the machine.
        """
        vcpu = self._defaults.vcpu if asked["vcpu"] is None else asked["vcpu"]
        memory_mib = self._defaults.memory_mib if asked["memory_mib"] is None else asked["memory_mib"]
        nat = self.nat(asked)
        name = asked["image"] or self._defaults.image
        architecture = await self._find_architecture(asked, name)
        of_image = find_image_defaults(self._images.find(name, architecture), asked)
        disk_bytes = asked["disk_bytes"] or of_image.disk_bytes or self._defaults.disk_bytes
        kernel_name = asked.get("kernel") or of_image.kernel or self._defaults.kernel
        check_sizes(vcpu=vcpu, memory_mib=memory_mib, disk_bytes=disk_bytes)
        check_sizes_here(self._host, vcpu=vcpu, memory_mib=memory_mib)
        self._chooser.check(architecture)
        self._space.check()
        if nat:
            self._networks.check()
        lock = asked.get("lock")
        if lock is not None:
            image, kernel = await self._locking.resolve(request, lock)
            of_image = find_image_defaults(image, asked)
            disk_bytes = asked["disk_bytes"] or of_image.disk_bytes or self._defaults.disk_bytes
            await self._choose(request, kernel)
        else:
            await self._check_room(reporter(request), image=name, kernel=kernel_name, architecture=architecture)
            kernel = await self._kernels.ensure(kernel_name, reporter(request), architecture=architecture)
            await self._choose(request, kernel)
            image = await self._images.ensure(name, reporter(request), architecture=architecture)
        return VmSpec(
            image=image.name,
            image_digest=image.digest,
            kernel=kernel.name,
            kernel_digest=kernel.digest,
            vcpu=vcpu,
            memory_mib=memory_mib,
            disk_bytes=disk_bytes,
            nat=nat,
            architecture=image.architecture,
            runs_entrypoint=not attended and image.init is None and bool(image.run.argv),
            origins=self._origins(asked, of_image),
        )

    async def _find_architecture(self, asked: SpecRequest, name: str) -> str:
        lock, platform = asked.get("lock"), asked.get("platform")
        if lock is not None:
            return parse_platform(lock["image"]["platform"])
        return await self._images.find_architecture(name, parse_platform(platform) if platform else None)

    async def _choose(self, request: Request, kernel: Kernel) -> None:
        """Choose a VMM now, so that a missing one is noticed before an image is fetched."""
        chosen = await self._chooser.choose(kernel)
        if chosen.notice:
            request.notice(chosen.notice)

    def _origins(self, asked: SpecRequest, of_image: ImageDefaults) -> Mapping[str, str]:
        """Where each value comes from."""
        said: dict[str, str] = {
            **self._defaults.origins_beside(
                {
                    "image": asked["image"],
                    "kernel": asked.get("kernel"),
                    "vcpu": asked["vcpu"],
                    "memory_mib": asked["memory_mib"],
                    "disk_bytes": asked["disk_bytes"],
                    "nat": asked["nat"],
                }
            ),
            **of_image.origins(),
        }
        return {**said, "image": "lock", "kernel": "lock"} if asked.get("lock") is not None else said

    def nat(self, asked: SpecRequest) -> bool:
        """Whether the VM is to have a network."""
        return self._defaults.nat if asked["nat"] is None else asked["nat"]

    def ttl_s(self, asked: SpecRequest) -> float | None:
        """How long the VM may live; None and 0 mean for ever."""
        return self._defaults.ttl_s if asked["ttl_s"] is None else asked["ttl_s"]

    def image(self, spec: VmSpec) -> Image:
        """The image of a VM. Raises `NotFound`."""
        return self._images.read(spec.image_digest)
