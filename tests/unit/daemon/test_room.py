"""What has no room is refused before anything is fetched."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from banger.api.messages import SpecRequest
from banger.catalogue.document import Distribution, Entry, Kind
from banger.catalogue.shelf import Found, Opened
from banger.core.config.defaults import Defaults
from banger.core.errors import Unavailable
from banger.core.layout import Layout
from banger.core.vm import HostSize
from banger.daemon.context import Request
from banger.daemon.host_catalogues import Report
from banger.daemon.host_images import HostImages
from banger.daemon.host_kernels import HostKernels
from banger.daemon.operations.images import ImageVerbs
from banger.daemon.operations.plan import PlanVm
from banger.daemon.operations.room import CheckRoom
from banger.disk.space import judge_free_space
from banger.image.recipe import IMAGES
from banger.kernel.debian import BUILD_BYTES as KERNEL_BYTES

NOBODY = cast("Any", None)
RECIPES = {"image": "debian-bookworm", "kernel": "debian-cloud"}
SPEC: SpecRequest = {
    "name": None,
    "image": None,
    "vcpu": None,
    "memory_mib": None,
    "disk_bytes": None,
    "nat": None,
    "ttl_s": None,
}


class EveryName:
    """A catalogue in which every name leads to Debian's archive."""

    async def find(self, kind: Kind, name: str, platform: str, report: Report) -> Found | None:
        source = Distribution(recipe=RECIPES[kind])
        return Found(entry=Entry(name=name, kind=kind, platform="linux/amd64", source=source), catalogue="every")

    async def list(self, kind: Kind, report: Report) -> tuple[list[Found], list[Opened]]:
        return [], []


class LittleSpace:
    """Enough for either of the two."""

    def check(self, *, needed_bytes: int = 0) -> None:
        return

    def check_stores(self, needed_bytes: int) -> None:
        assert needed_bytes == IMAGES["x86_64"].build_bytes + KERNEL_BYTES
        judge_free_space(needed_bytes, needed_bytes=needed_bytes, keeps="images and kernels")


class AnyVmm:
    def check(self, architecture: str) -> None:
        return

    async def try_each(self, kernel: object) -> Any:
        raise AssertionError("nobody asked for that")

    async def choose(self, kernel: object) -> Any:
        raise AssertionError("something was fetched")


async def test_image_and_kernel_have_room_together_or_neither_is_fetched(tmp_path: Path) -> None:
    layout = Layout(*(tmp_path / name for name in ("config", "state", "cache", "run")))
    images, kernels = HostImages(layout, EveryName(), NOBODY), HostKernels(layout, EveryName(), NOBODY)
    defaults = Defaults(vcpu=1, memory_mib=128, disk_bytes=1 << 30)
    check_room = CheckRoom(images=images, kernels=kernels, space=LittleSpace())
    plan = PlanVm(
        locking=NOBODY,
        host=HostSize(cpus=2, memory_bytes=16 << 30),
        defaults=defaults,
        images=images,
        kernels=kernels,
        chooser=AnyVmm(),
        networks=NOBODY,
        space=LittleSpace(),
        check_room=check_room,
    )
    verbs = ImageVerbs(images=images, kernels=kernels, defaults=defaults, users=NOBODY, check_room=check_room)
    request = Request("op", lambda event: pytest.fail(f"something happens: {event}"))
    with pytest.raises(Unavailable, match=r"are free where banger keeps its images and kernels, and 3\.5 GiB are"):
        await plan(request, SPEC, attended=True)
    with pytest.raises(Unavailable, match="are free"):
        await verbs.pull(request, {"image": "debian-bookworm", "name": None})
    assert list(tmp_path.iterdir()) == []
