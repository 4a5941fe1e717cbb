"""The store of kernels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from banger.core.content_store import Content, ContentStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """A bootable kernel. `boot_modules` are what the initramfs loads, in order; `modules` is an EROFS image of all."""

    name: str
    digest: str
    architecture: str
    release: str
    vmlinuz: Path
    modules: Path
    boot_modules: tuple[Path, ...]
    size_bytes: int
    created_at_s: float
    source: str


class KernelStore:
    """Kernels by name and by digest."""

    def __init__(self, root: Path) -> None:
        self.content = ContentStore(root, kind="kernel")

    def find(self, name: str) -> Kernel | None:
        content = self.content.find(name)
        return _kernel(name, content) if content is not None else None

    def read(self, digest: str) -> Kernel:
        """The kernel of that digest. Raises `NotFound`."""
        content = self.content.read(digest)
        return _kernel(str(content.manifest["name"]), content)

    def verify(self, kernel: Kernel) -> None:
        """Read every file of a kernel and compare it with its digest. Raises `Failed`."""
        self.content.verify(self.content.read(kernel.digest))

    def remove(self, name: str, *, in_use: frozenset[str]) -> bool:
        """Take the name away, and the kernel unless another name or a digest `in_use` needs it. Raises `NotFound`."""
        return self.content.remove(name, in_use=in_use)

    def list(self) -> list[Kernel]:
        return [_kernel(name, content) for name, content in self.content.list()]


def plan_manifest(
    *,
    name: str,
    architecture: str,
    release: str,
    boot_modules: tuple[str, ...],
    created_at_s: float,
    source: str,
) -> Mapping[str, Any]:
    """What the manifest of a kernel says besides its files."""
    return {
        "name": name,
        "architecture": architecture,
        "release": release,
        "boot_modules": list(boot_modules),
        "created_at_s": created_at_s,
        "source": source,
    }


def _kernel(name: str, content: Content) -> Kernel:
    manifest = content.manifest
    return Kernel(
        name=name,
        digest=content.digest,
        architecture=manifest["architecture"],
        release=manifest["release"],
        vmlinuz=content.path / "vmlinuz",
        modules=content.path / "modules.erofs",
        boot_modules=tuple(content.path / module for module in manifest["boot_modules"]),
        size_bytes=content.size_bytes,
        created_at_s=manifest["created_at_s"],
        source=manifest["source"],
    )
