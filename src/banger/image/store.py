"""The store of images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from banger.core.content_store import Content, ItemStore
from banger.core.provenance import UNKNOWN, Provenance, decode_provenance
from banger.image.registered import HostFile, compare, decode_host_file, is_unchanged
from banger.image.run_config import RunConfig, decode_run_config, encode_run_config

ROOTFS_FILE: Final = "rootfs.erofs"
PACKAGES_FILE: Final = "packages.txt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A read-only root file system and how to boot it. `init` None means that the agent stays PID 1.

    `packages` lists what is in it, one `NAME VERSION` a line, where that is known. `recipe` is the fingerprint of the
    recipe that it was made by, empty for an image that was imported. `oci` says of an image that was made of layers
    which: the `digest` of its manifest, its `layers` (each `digest`, `diff_id`, `size_bytes`, `media_type`), its
    `labels`, and when it was `created`. `kernel` and `disk_bytes` are what its VMs get unless somebody says otherwise;
    empty and 0 where nobody has said so of the image. `file` is that of one that is used where it lies.
    """

    name: str
    digest: str
    architecture: str
    rootfs: Path
    packages: Path | None
    root_fs: str
    init: str | None
    environment: Mapping[str, str]
    size_bytes: int
    created_at_s: float
    source: str
    recipe: str = ""
    run: RunConfig = field(default_factory=RunConfig)
    provenance: Provenance = UNKNOWN
    oci: Mapping[str, Any] = field(default_factory=dict)
    kernel: str = ""
    disk_bytes: int = 0
    file: HostFile | None = None


class ImageStore(ItemStore[Image]):
    """Images by name and by digest."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, kind="image", view=_image)

    def read(self, digest: str) -> Image:
        """As for other items. Several registered files may have the same content: one that is unchanged, if any."""
        image = super().read(digest)
        if image.file is None:
            return image
        same = (other for other in self.list() if other.digest == digest and other.file is not None)
        return next((other for other in same if other.file is not None and is_unchanged(other.file)), image)

    def verify(self, item: Image) -> None:
        """As for other items; of a registered image its file is read too."""
        super().verify(item)
        if item.file is not None:
            compare(item.file)

    def set_machine(self, image: Image, *, kernel: str | None, disk_bytes: int | None) -> Image:
        """Set the defaults of an image's VMs; None leaves a value as it is. Raises `NotFound` when it is gone."""
        said = {
            "kernel": image.kernel if kernel is None else kernel,
            "disk_bytes": image.disk_bytes if disk_bytes is None else disk_bytes,
        }
        return self.view(image.name, self.content.annotate(image.name, image.architecture, {"machine": said}))


def name_rootfs(root_fs: str) -> str:
    """The name of the file of a root file system of that kind."""
    return f"rootfs.{root_fs}"


def plan_manifest(
    *,
    name: str,
    architecture: str,
    init: str | None,
    created_at_s: float,
    source: str,
    environment: Mapping[str, str],
    recipe: str = "",
    run: RunConfig | None = None,
    provenance: Provenance = UNKNOWN,
    oci: Mapping[str, Any] | None = None,
) -> Mapping[str, Any]:
    """What the manifest of an image says besides its files."""
    return {
        "name": name,
        "architecture": architecture,
        "root_fs": "erofs",
        "init": init,
        "environment": dict(environment),
        "created_at_s": created_at_s,
        "source": source,
        "recipe": recipe,
        "provenance": provenance.encode(),
        **({"run": encode_run_config(run)} if run not in (None, RunConfig()) else {}),
        **({"oci": oci} if oci is not None else {}),
    }


def _image(name: str, content: Content) -> Image:
    manifest = content.manifest
    file = decode_host_file(manifest.get("file"))
    return Image(
        name=name,
        digest=content.digest,
        architecture=manifest["architecture"],
        rootfs=content.path / name_rootfs(manifest["root_fs"]) if file is None else Path(file.path),
        packages=content.path / PACKAGES_FILE if PACKAGES_FILE in manifest["files"] else None,
        root_fs=manifest["root_fs"],
        init=manifest["init"],
        environment=manifest["environment"],
        size_bytes=content.size_bytes if file is None else file.size_bytes,
        created_at_s=manifest["created_at_s"],
        source=manifest["source"],
        recipe=manifest.get("recipe", ""),
        run=decode_run_config(manifest.get("run", {})),
        provenance=decode_provenance(manifest.get("provenance", {})),
        oci=manifest.get("oci", {}),
        kernel=manifest.get("machine", {}).get("kernel", ""),
        disk_bytes=manifest.get("machine", {}).get("disk_bytes", 0),
        file=file,
    )
