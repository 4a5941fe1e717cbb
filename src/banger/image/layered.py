"""An image from layers and a configuration, wherever they came from."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from banger.core.layers import Layer
from banger.core.progress import Progress
from banger.core.provenance import Provenance
from banger.image.config import ImageConfig
from banger.image.rootfs import ReadLayers
from banger.image.store import PACKAGES_FILE, ROOTFS_FILE, Image, ImageStore, plan_manifest
from banger.image.writing import write_packages, write_rootfs

_STEP_BYTES: Final = 4 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class LayeredImage:
    """An image that is to be stored. `digest` is that of its manifest, or of its configuration if it has none."""

    digest: str
    config: ImageConfig
    layers: tuple[Layer, ...]


def make_layered_image(
    store: ImageStore,
    name: str,
    found: LayeredImage,
    *,
    read_layers: ReadLayers,
    origin: str,
    provenance: Provenance,
    report: Callable[[Progress], None] = lambda _progress: None,
    check: Callable[[], None] = lambda: None,
) -> Image:
    """Unpack, write and publish; blocking, for a thread. `origin` and `provenance` say where it is from.

    The same layers are not unpacked twice: what the store has under another name gets this one too. Raises `Invalid`
    for layers that cannot be a root file system, `Failed` for a wrong digest.
    """
    same = find_same(store, found.digest)
    with store.content.draft() as draft:
        if same is not None:
            files = _link(same, draft)
        else:
            files = _unpack(found.layers, draft, name, read_layers=read_layers, report=report, check=check)
        content = store.content.publish(
            draft,
            name=name,
            files=files.names,
            digests=files.digests,
            manifest=plan_manifest(
                name=name,
                architecture=found.config.platform.machine,
                init=files.init,
                created_at_s=time.time(),
                source=origin,
                environment=found.config.environment,
                run=found.config.run,
                provenance=provenance,
                oci=describe_oci(found),
            ),
        )
        return store.view(name, content)


class _Files(NamedTuple):
    """What is in a draft: names of files, the digests that are known of them, and the init of the root file system."""

    names: Sequence[str]
    digests: Mapping[str, str]
    init: str | None


def _link(same: Image, draft: Path) -> _Files:
    """Put the files of an image that is in the store already into a draft, as hard links."""
    (draft / ROOTFS_FILE).hardlink_to(same.rootfs)
    if same.packages is None:
        return _Files([ROOTFS_FILE], {}, same.init)
    (draft / PACKAGES_FILE).hardlink_to(same.packages)
    return _Files([ROOTFS_FILE, PACKAGES_FILE], {}, same.init)


def _unpack(
    layers: Sequence[Layer],
    draft: Path,
    name: str,
    *,
    read_layers: ReadLayers,
    report: Callable[[Progress], None],
    check: Callable[[], None],
) -> _Files:
    """Write the root file system that the layers make, and its list of packages, into a draft."""
    told = -_STEP_BYTES

    def tell_read(done: int, total: int) -> None:
        nonlocal told
        check()
        if done - told >= _STEP_BYTES or done == total:
            told = done
            report(Progress(stage="image", text=f"unpacking {name}", done=done, total=total, unit="bytes"))

    with closing(read_layers(layers, scratch=draft, report=tell_read)) as tree:
        digest = write_rootfs(tree, draft / ROOTFS_FILE, text=f"writing {name}", report=report, check=check)
        return _Files([ROOTFS_FILE, *write_packages(tree, draft)], {ROOTFS_FILE: digest}, tree.find_init())


def find_same(store: ImageStore, digest: str) -> Image | None:
    """An image in the store that was made from the same manifest."""
    return next((image for image in store.list() if image.oci.get("digest") == digest), None)


def describe_oci(found: LayeredImage) -> Mapping[str, Any]:
    """The members of our manifest about what the image was made from."""
    return {
        "digest": found.digest,
        "labels": dict(found.config.labels),
        "created": found.config.created,
        "layers": [
            {"digest": layer.digest, "diff_id": layer.diff_id, "size_bytes": layer.size, "media_type": layer.media_type}
            for layer in found.layers
        ],
    }
