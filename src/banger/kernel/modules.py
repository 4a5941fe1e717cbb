"""What a guest needs of its kernel: the modules that its initramfs loads, in order, and what is missing. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from banger.core.errors import Unsupported
from banger.core.untrusted import printable

# What a machine needs before it has a root: its buses, its disks, its channel, its network, its file systems. Whatever
# a kernel has built in is not among its modules, and is left out. The options are those of the kernel's configuration.
OPTIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "virtio_mmio": "CONFIG_VIRTIO_MMIO",
        "virtio_blk": "CONFIG_VIRTIO_BLK",
        "virtio_console": "CONFIG_VIRTIO_CONSOLE",
        "virtio_net": "CONFIG_VIRTIO_NET",
        "virtio_rng": "CONFIG_HW_RANDOM_VIRTIO",
        "erofs": "CONFIG_EROFS_FS",
        "overlay": "CONFIG_OVERLAY_FS",
        "ext4": "CONFIG_EXT4_FS",
    }
)
WANTED: Final = tuple(OPTIONS)
REQUIRED: Final = frozenset({"virtio_mmio", "virtio_blk", "virtio_console", "erofs", "overlay", "ext4"})
# What is never a module, and without which no guest of ours gets as far as its agent.
REQUIRED_OPTIONS: Final = ("CONFIG_BLK_DEV_INITRD", "CONFIG_DEVTMPFS", "CONFIG_TMPFS", "CONFIG_BINFMT_ELF")
# The serial port of each architecture's virtual computer: where a guest is silent, nobody sees that it runs.
CONSOLE_OPTIONS: Final[Mapping[str, str]] = MappingProxyType(
    {"x86_64": "CONFIG_SERIAL_8250_CONSOLE", "aarch64": "CONFIG_SERIAL_AMBA_PL011_CONSOLE"}
)
_DEPENDS: Final = re.compile(rb"(?:^|\0)depends=([^\0]*)\0")
_SET: Final = re.compile(r"^(CONFIG_[A-Z0-9_]+)=([ym])$", re.MULTILINE)
_DEPTH_LIMIT: Final = 64
_HINT: Final = "use a kernel with virtio, erofs and overlayfs; docs/images.md lists the options"


def read_dependencies(module: bytes) -> tuple[str, ...]:
    """Names of the modules that a module's own information says it depends on (modinfo's `depends`)."""
    match = _DEPENDS.search(module)
    if match is None or not match[1]:
        return ()
    return tuple(name.decode("ascii", "replace").replace("-", "_") for name in match[1].split(b","))


def find_builtin(config: str, *, architecture: str) -> frozenset[str]:
    """Which of the wanted modules are built in, according to the kernel's configuration.

    Raises `Unsupported` for a kernel whose configuration lacks what can be no module.
    """
    options = dict(_SET.findall(config))
    required = (*REQUIRED_OPTIONS, CONSOLE_OPTIONS[architecture])
    missing = sorted(option for option in required if options.get(option) != "y")
    if missing:
        raise Unsupported(f"the kernel was built without {', '.join(missing)}", hint=_HINT)
    return frozenset(module for module, option in OPTIONS.items() if options.get(option) == "y")


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
        named = ", ".join(f"{name} ({OPTIONS[name]})" for name in missing)
        raise Unsupported(f"the kernel has no {named}", hint=_HINT)
    order: list[str] = []
    visiting: list[str] = []

    def visit(name: str) -> None:
        if name in order or name in builtin or name in visiting:
            return
        if name not in have:
            raise Unsupported(f"the kernel module {printable(name, limit=80)} is needed and missing", hint=_HINT)
        if len(visiting) > _DEPTH_LIMIT:
            raise Unsupported("the kernel's modules need each other in an endless row", hint=_HINT)
        visiting.append(name)
        for dependency in read_dependencies(read(name)):
            visit(dependency)
        visiting.pop()
        order.append(name)

    for name in WANTED:
        if name in have:
            visit(name)
    return tuple(order)
