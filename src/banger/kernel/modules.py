"""Which modules a guest's initramfs needs, and in which order. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from banger.core.errors import Unsupported

# What a machine needs before it has a root: its buses, its disks, its channel, its network, its file systems. Whatever
# a kernel has built in is not among its modules, and is left out.
WANTED: Final = (
    "virtio_mmio",
    "virtio_blk",
    "virtio_console",
    "virtio_net",
    "virtio_rng",
    "erofs",
    "overlay",
    "ext4",
)
REQUIRED: Final = frozenset({"virtio_mmio", "virtio_blk", "virtio_console", "erofs", "overlay", "ext4"})
_DEPENDS: Final = re.compile(rb"(?:^|\0)depends=([^\0]*)\0")


def read_dependencies(module: bytes) -> tuple[str, ...]:
    """Names of the modules that a module's own information says it depends on (modinfo's `depends`)."""
    match = _DEPENDS.search(module)
    if match is None or not match[1]:
        return ()
    return tuple(name.decode("ascii", "replace").replace("-", "_") for name in match[1].split(b","))


def plan_boot_modules(
    available: Sequence[str], builtin: frozenset[str], *, read: Callable[[str], bytes]
) -> tuple[str, ...]:
    """The wanted modules with all they depend on, each after what it needs.

    `available` are module names, `read` gives the file of one. Raises `Unsupported` when the kernel lacks something
    that a guest cannot do without.
    """
    have = frozenset(available)
    missing = sorted(name for name in REQUIRED if name not in have and name not in builtin)
    if missing:
        raise Unsupported(
            f"the kernel has no {', '.join(missing)}", hint="use a kernel with virtio, erofs and overlayfs"
        )
    order: list[str] = []
    visiting: list[str] = []

    def visit(name: str) -> None:
        if name in order or name in builtin or name in visiting:
            return
        if name not in have:
            raise Unsupported(f"the kernel module {name} is needed and missing")
        visiting.append(name)
        for dependency in read_dependencies(read(name)):
            visit(dependency)
        visiting.pop()
        order.append(name)

    for name in WANTED:
        if name in have:
            visit(name)
    return tuple(order)
