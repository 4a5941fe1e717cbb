"""The store of kernels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from banger.core.content_store import Content, ItemStore
from banger.core.provenance import UNKNOWN, Provenance, decode_provenance


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
    provenance: Provenance = UNKNOWN


class KernelStore(ItemStore[Kernel]):
    """Kernels by name and by digest."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, kind="kernel", view=_kernel)


def plan_manifest(
    *,
    name: str,
    architecture: str,
    release: str,
    boot_modules: tuple[str, ...],
    created_at_s: float,
    source: str,
    provenance: Provenance = UNKNOWN,
) -> Mapping[str, Any]:
    """What the manifest of a kernel says besides its files."""
    return {
        "name": name,
        "architecture": architecture,
        "release": release,
        "boot_modules": list(boot_modules),
        "created_at_s": created_at_s,
        "source": source,
        "provenance": provenance.encode(),
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
        provenance=decode_provenance(manifest.get("provenance", {})),
    )
