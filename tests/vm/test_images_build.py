"""Builds that are given up, with the real mmdebstrap and Debian's archive."""

from __future__ import annotations

import asyncio
import getpass
from pathlib import Path

import pytest

from banger.core.debian import read_host_sources
from banger.core.layout import BUILDS
from banger.core.platforms import host_architecture
from banger.core.progress import Progress
from banger.disk.rootfs import ArchiveTree
from banger.image.distribution import make_debian_image
from banger.image.pinned import Pinned
from banger.image.recipe import IMAGES
from banger.image.sandbox import read_host_facts
from banger.image.store import ImageStore

pytestmark = [pytest.mark.vm, pytest.mark.timeout(300)]


@pytest.mark.parametrize("stage", ["reading Debian's package lists", "unpacking the base system"])
async def test_a_build_that_is_given_up_leaves_nothing(tmp_path: Path, stage: str) -> None:
    store = ImageStore(tmp_path / "images")
    reached = asyncio.Event()

    def report(progress: Progress) -> None:
        if progress.text == stage:
            reached.set()

    before = set(BUILDS.glob("banger-image-*"))
    building = asyncio.create_task(
        make_debian_image(
            store,
            "debian",
            host_sources=read_host_sources(),
            facts=read_host_facts(getpass.getuser()),
            wanted=IMAGES[host_architecture()],
            fetch=fetch_nothing,
            read_rootfs=ArchiveTree,
            report=report,
        )
    )
    waiting = asyncio.create_task(reached.wait())
    await asyncio.wait({building, waiting}, return_when=asyncio.FIRST_COMPLETED)
    assert not building.done(), building.exception()
    await asyncio.sleep(1)
    building.cancel()
    with pytest.raises(asyncio.CancelledError):
        await building
    assert store.list() == []
    assert list((tmp_path / "images" / "drafts").iterdir()) == []
    assert set(BUILDS.glob("banger-image-*")) == before
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()
    assert [path for path in Path("/proc").glob("[0-9]*/cmdline") if mentions(path, tmp_path)] == []


async def fetch_nothing(_download: Pinned) -> Path:
    raise AssertionError("the default image is made of Debian's archive alone")


def mentions(path: Path, directory: Path) -> bool:
    try:
        return str(directory).encode() in path.read_bytes()
    except OSError:
        return False
