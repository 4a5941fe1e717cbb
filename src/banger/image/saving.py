"""An image out of the root of a guest, as its agent archives it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import BinaryIO, Final

from banger.core.errors import Invalid
from banger.core.progress import Progress
from banger.core.provenance import Provenance
from banger.image.packages import find_packages
from banger.image.rootfs import ReadRootfs
from banger.image.run_config import RunConfig
from banger.image.store import PACKAGES_FILE, ROOTFS_FILE, Image, ImageStore, plan_manifest
from banger.image.writing import write_rootfs

_MACHINE_ID: Final = "etc/machine-id"


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedRoot:
    """What is known of a root besides its files: how it is run, and where it came from, in `source` in words.

    `hint` is what to do about something in it that no image can hold.
    """

    architecture: str
    environment: Mapping[str, str]
    run: RunConfig
    source: str
    provenance: Provenance
    recipe: str = ""
    hint: str


def make_saved_image(
    store: ImageStore,
    name: str,
    archive: BinaryIO,
    saved: SavedRoot,
    *,
    read_rootfs: ReadRootfs,
    report: Callable[[Progress], None] = lambda _progress: None,
    check: Callable[[], None] = lambda: None,
) -> Image:
    """Read the archive, write and publish; blocking, for a thread.

    Raises `Invalid` for an archive that no honest agent writes, or that has what no image can hold.
    """

    def tell_read(done: int) -> None:
        check()
        report(Progress(stage="image", text=f"reading the files of {name}", done=done, unit="bytes"))

    with store.content.draft() as draft:
        try:
            tree = read_rootfs(archive, scratch=draft, report=tell_read)
        except Invalid as error:
            raise Invalid(error.summary, hint=saved.hint) from error
        with closing(tree):
            packages = find_packages(tree)
            init = tree.find_init()
            if init is not None and tree.read_start(_MACHINE_ID, 1) is None:
                tree.add_file(_MACHINE_ID, b"")  # without one systemd would take each first boot for an installation
            write_rootfs(tree, draft / ROOTFS_FILE, text=f"writing {name}", report=report, check=check)
        if packages is not None:
            (draft / PACKAGES_FILE).write_text(packages)
        check()
        content = store.content.publish(
            draft,
            name=name,
            files=[ROOTFS_FILE, *([PACKAGES_FILE] if packages is not None else [])],
            manifest=plan_manifest(
                name=name,
                architecture=saved.architecture,
                init=init,
                created_at_s=time.time(),
                source=saved.source,
                environment=saved.environment,
                recipe=saved.recipe,
                run=saved.run,
                provenance=saved.provenance,
            ),
        )
        return store.view(name, content)
