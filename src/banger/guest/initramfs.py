"""The part of the initramfs that all VMs of a kernel share: the agent as /init, and the modules it loads."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from pathlib import Path

from banger.guest.cpio import CpioEntry, directory, encode_archive, regular


def build_base_initramfs(agent: Path, modules: Sequence[Path]) -> bytes:
    """An archive with the agent and `modules`, which are loaded in this order."""
    places = [(f"/modules/{number:02d}-{module.name}", module) for number, module in enumerate(modules)]
    listing = "".join(f"{place}\n" for place, _ in places).encode()
    return encode_archive(
        (
            *(directory(path) for path in ("/dev", "/proc", "/sys", "/etc", "/etc/banger", "/modules")),
            # The kernel opens the console before /init has mounted anything.
            CpioEntry(path="/dev/console", mode=stat.S_IFCHR | 0o600, device=(5, 1)),
            regular("/init", agent.read_bytes(), mode=0o755),
            regular("/etc/banger/modules", listing),
            *(regular(place, module.read_bytes()) for place, module in places),
        )
    )
