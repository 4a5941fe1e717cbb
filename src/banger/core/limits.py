"""The limits of a VM's sizes. Separate from `core.vm`, whose import is too slow for the command line."""

from __future__ import annotations

from typing import Final

from banger.core.sizes import MIB, TIB

VCPU_LIMIT: Final = 256
VCPU_PER_CPU: Final = 4  # of the host: with more, a guest's processors wait for each other until its kernel complains
VCPU_ALWAYS: Final = 8  # may be asked for on the smallest host
MEMORY_BYTES_LIMITS: Final = (128 * MIB, TIB)  # with 64 MiB the default kernel does not start
DISK_BYTES_LIMITS: Final = (64 * MIB, 16 * TIB)
