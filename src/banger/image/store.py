"""The store of images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from banger.core.content_store import Content, ContentStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A read-only root file system and how to boot it. `init` None means that the agent stays PID 1."""

    name: str
    digest: str
    architecture: str
    rootfs: Path
    root_fs: str
    init: str | None
    environment: Mapping[str, str]
    size_bytes: int
    created_at_s: float
    source: str


class ImageStore:
    """Images by name and by digest."""

    def __init__(self, root: Path) -> None:
        self.content = ContentStore(root, kind="image")

    def find(self, name: str) -> Image | None:
        content = self.content.find(name)
        return _image(name, content) if content is not None else None

    def read(self, digest: str) -> Image:
        """The image of that digest. Raises `NotFound`."""
        content = self.content.read(digest)
        return _image(str(content.manifest["name"]), content)

    def list(self) -> list[Image]:
        return [_image(name, content) for name, content in self.content.list()]


def plan_manifest(
    *, name: str, architecture: str, init: str | None, created_at_s: float, source: str, packages: list[str]
) -> Mapping[str, Any]:
    """What the manifest of an image says besides its files."""
    return {
        "name": name,
        "architecture": architecture,
        "root_fs": "erofs",
        "init": init,
        "environment": {},
        "created_at_s": created_at_s,
        "source": source,
        "packages": packages,
    }


def _image(name: str, content: Content) -> Image:
    manifest = content.manifest
    return Image(
        name=name,
        digest=content.digest,
        architecture=manifest["architecture"],
        rootfs=content.path / "rootfs.erofs",
        root_fs=manifest["root_fs"],
        init=manifest["init"],
        environment=manifest["environment"],
        size_bytes=content.size_bytes,
        created_at_s=manifest["created_at_s"],
        source=manifest["source"],
    )
