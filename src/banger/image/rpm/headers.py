"""The header of an installed package as rpm's database has it (rpm's docs/manual/hregions.md and format_header.md)."""

from __future__ import annotations

import struct
from typing import Final

from banger.image.rpm.sqlite import Damaged

_ENTRY: Final = struct.Struct(">iiii")
_ENTRIES_LIMIT: Final = 0xFFFF
_NAME, _VERSION, _RELEASE, _EPOCH = 1000, 1001, 1002, 1003
_STRING: Final = 6
_INT32: Final = 4
_TEXT_LIMIT_BYTES: Final = 256
_KEYS: Final = b"gpg-pubkey"  # keys are kept as packages of that name


def parse_header(blob: bytes) -> tuple[str, str] | None:
    """Name and `[EPOCH:]VERSION-RELEASE` of a package; None for a key. Raises `Damaged`."""
    if len(blob) < 8:
        raise Damaged("a header is cut")
    entries, size_bytes = struct.unpack_from(">II", blob)
    start = 8 + entries * _ENTRY.size
    if entries > _ENTRIES_LIMIT or start + size_bytes != len(blob):
        raise Damaged("a header has another size than it says")
    found: dict[int, bytes] = {}
    for number in range(entries):
        tag, kind, offset, _ = _ENTRY.unpack_from(blob, 8 + number * _ENTRY.size)
        if tag in (_NAME, _VERSION, _RELEASE, _EPOCH):
            if not 0 <= offset < size_bytes or kind != (_INT32 if tag == _EPOCH else _STRING):
                raise Damaged("a header has a value in no place")
            found[tag] = blob[start + offset : start + offset + _TEXT_LIMIT_BYTES]
    name, version, release = (found.get(tag, b"").partition(b"\0")[0] for tag in (_NAME, _VERSION, _RELEASE))
    if name == _KEYS:
        return None
    epoch = int.from_bytes(found.get(_EPOCH, b"")[:4], "big")
    shown = b"%b%b-%b" % (b"%d:" % epoch if epoch else b"", version, release)
    return name.decode("ascii", "replace"), shown.decode("ascii", "replace")
