"""Between which bounds the sizes of a VM lie. Apart from `core.vm`, whose import costs more than a command may."""

from __future__ import annotations

from typing import Final

from banger.core.sizes import MIB, TIB

VCPU_LIMIT: Final = 256
MEMORY_BYTES_LIMITS: Final = (64 * MIB, TIB)
DISK_BYTES_LIMITS: Final = (64 * MIB, 16 * TIB)
