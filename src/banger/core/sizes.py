"""Sizes of memory and disks: parsed from what people type, printed with a binary unit."""

from __future__ import annotations

import re
from typing import Final

from banger.core.errors import Invalid

KIB: Final = 1 << 10
MIB: Final = 1 << 20
GIB: Final = 1 << 30
TIB: Final = 1 << 40

_UNITS: Final = {"K": KIB, "M": MIB, "G": GIB, "T": TIB}
_PATTERN: Final = re.compile(r"(\d{1,15})(?:\.(\d{1,9}))?\s?([KMGT])?(?:i?B)?", re.IGNORECASE | re.ASCII)


def parse_size(text: str) -> int:
    """Return bytes for `4G`, `4GiB`, `512M`, `1.5G`, `4KiB`, `1.2 GiB`; a bare number means MiB.

    Raises `Invalid` for anything else, for zero and for fractions of a byte.
    """
    match = _PATTERN.fullmatch(text.strip())
    if match is None or (match[3] is None and text.strip()[-1:] in "bB"):
        raise Invalid(f"{ascii(text)} is not a size", hint="write 512M, 4G, 1.5GiB, or a bare number of MiB")
    unit = _UNITS[match[3].upper()] if match[3] else MIB
    fraction = match[2] or ""
    scaled = int(match[1] + fraction) * unit
    size_bytes: int = scaled // 10 ** len(fraction)
    if size_bytes == 0:
        raise Invalid(f"the size {ascii(text)} is zero", hint="write 512M, 4G, 1.5GiB, or a bare number of MiB")
    return size_bytes


def format_size(size_bytes: int) -> str:
    """Print bytes as `1.2 GiB`, `512 MiB`, `17 B`: one decimal, none where it would be zero."""
    for unit, suffix in ((TIB, "TiB"), (GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")):
        if size_bytes * 20 >= unit * 20 - unit // KIB:  # what the unit below would show as 1024
            text = f"{size_bytes / unit:.1f}"
            return f"{text.removesuffix('.0')} {suffix}"
    return f"{size_bytes} B"
