"""The fields of tar headers, each with its checks. Pure. Raises `Unusable`.

Formats: POSIX `pax`, "ustar Interchange Format" and "pax Extended Header"; GNU tar manual, "Basic Tar Format".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from banger.disk.tree import Unusable

BLOCK: Final = 512
XATTR_PREFIX: Final = b"SCHILY.xattr."
XATTR_NAMESPACES: Final = (b"user.", b"trusted.", b"security.")
XATTR_NAMES: Final = (b"system.posix_acl_access", b"system.posix_acl_default")
# A label of the maker's SELinux policy; what overlayfs would take for its own, and the image is below one in the guest.
XATTRS_LEFT_OUT: Final = (b"security.selinux", b"trusted.overlay.", b"user.overlay.")
XATTR_BYTES_LIMIT: Final = 3968  # of one file, names and values with 4 bytes each: what fits beside an EROFS inode
_MAGICS: Final = (b"ustar\x0000", b"ustar  \0", bytes(8))  # POSIX, GNU, and archives older than both
_ID_LIMIT: Final = 0xFFFF_FFFF  # 32 bits; the last value means "no id" to the kernel
_SECONDS_LIMIT: Final = 1 << 48
_OCTAL: Final = frozenset(b"01234567")
_NO_XATTRS: Final = "make the archive without extended attributes (tar --no-xattrs)"


@dataclass(frozen=True, slots=True)
class Header:
    """One header block, decoded as far as every kind of member needs it."""

    raw: bytes
    kind: bytes
    path: bytes
    target: bytes
    size: int


def parse_header(raw: bytes) -> Header:
    """Decode a block whose magic and checksum are right; any other is refused."""
    magic = raw[257:265]
    if magic not in _MAGICS:
        raise Unusable("belongs to no tar archive, or is damaged")
    if sum(raw) - sum(raw[148:156]) + 8 * 32 != parse_number(raw[148:156]):
        raise Unusable("has a wrong checksum")
    path = cut_at_nul(raw[:100])
    if raw[345] and magic.startswith(b"ustar\0"):
        path = cut_at_nul(raw[345:500]) + b"/" + path
    return Header(
        raw=raw,
        kind=raw[156:157],
        path=path,
        target=cut_at_nul(raw[157:257]),
        size=parse_number(raw[124:136]),
    )


def cut_at_nul(field: bytes) -> bytes:
    """A text field ends at its first NUL or at its end."""
    return field.split(b"\0", 1)[0]


def parse_number(field: bytes, *, signed: bool = False) -> int:
    """Octal text, or GNU's form: the high bit set and a big-endian number after it. An empty field is 0."""
    if field[0] & 0x80:
        number = int.from_bytes(field, "big") & ((1 << (8 * len(field) - 1)) - 1)
        if not field[0] & 0x40:
            return number
        if signed:
            return number - (1 << (8 * len(field) - 1))
        raise Unusable("has a negative number in its header")
    text = field.strip(b" \0")
    if not _OCTAL.issuperset(text):
        raise Unusable("has a number in its header that is not octal")
    return int(text, 8) if text else 0


def parse_decimal(text: bytes) -> int:
    """A number of an extended header."""
    if not text.isdigit() or len(text) > 19:
        raise Unusable("has a malformed number in its extended header")
    return int(text)


def parse_id(extended: bytes | None, field: bytes) -> int:
    """A user or group id, from the extended header if it is there."""
    number = parse_decimal(extended) if extended is not None else parse_number(field)
    if number >= _ID_LIMIT:
        raise Unusable("belongs to an impossible user or group")
    return number


def parse_time(extended: bytes | None, field: bytes) -> tuple[int, int]:
    """Seconds since the epoch, and nanoseconds from 0 to 999 999 999 after them."""
    if extended is None:
        seconds, nanoseconds = parse_number(field, signed=True), 0
    else:
        whole, point, fraction = extended.partition(b".")
        negative = whole.startswith(b"-")
        digits = whole[1:] if negative else whole
        if not digits.isdigit() or len(digits) > 18 or (point and not fraction.isdigit()):
            raise Unusable("has a malformed time")
        seconds, nanoseconds = int(digits), int(fraction[:9].ljust(9, b"0"))
        if negative:
            seconds = -seconds
            if nanoseconds:
                seconds, nanoseconds = seconds - 1, 1_000_000_000 - nanoseconds
    if abs(seconds) > _SECONDS_LIMIT:
        raise Unusable("has an impossible time")
    return seconds, nanoseconds


def parse_device(raw: bytes) -> tuple[int, int]:
    """Major and minor number, within what Linux has (12 and 20 bits)."""
    major, minor = parse_number(raw[329:337]), parse_number(raw[337:345])
    if major >= 1 << 12 or minor >= 1 << 20:
        raise Unusable("is a device with impossible numbers")
    return major, minor


def parse_xattrs(values: Mapping[bytes, bytes], *, of_layer: bool = False) -> dict[bytes, bytes] | None:
    """The extended attributes among the records of an extended header.

    Names that Linux does not have are refused. A layer was often made on another system and always beside another
    kernel: there they are left out, and so are those that only meant something to its maker (`XATTRS_LEFT_OUT`).
    """
    xattrs: dict[bytes, bytes] = {}
    total = 0
    for key, value in values.items():
        if not key.startswith(XATTR_PREFIX):
            continue
        name = key[len(XATTR_PREFIX) :].replace(b"%3D", b"=").replace(b"%25", b"%")  # as GNU tar writes them
        known = name.startswith(XATTR_NAMESPACES) or name in XATTR_NAMES
        if of_layer and (not known or name.startswith(XATTRS_LEFT_OUT)):
            continue
        if not known or b"\0" in name or len(name) > 255:
            raise Unusable("has an extended attribute with a name that Linux does not have", hint=_NO_XATTRS)
        total += len(name) + len(value) + 4 + 3
        xattrs[name] = value
    if total > XATTR_BYTES_LIMIT:
        raise Unusable(f"has more than {XATTR_BYTES_LIMIT} bytes of extended attributes", hint=_NO_XATTRS)
    return xattrs or None


def parse_records(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The records `LENGTH KEY=VALUE` of an extended header in their order; a malformed one is never skipped."""
    start = 0
    while start < len(data):
        space = data.find(b" ", start, start + 12)
        digits = data[start:space] if space > 0 else b""
        end = start + int(digits) if digits.isdigit() else 0
        if not space < end - 1 < len(data) or data[end - 1] != 0x0A:
            raise Unusable("is malformed")
        key, equals, value = data[space + 1 : end - 1].partition(b"=")
        if not equals or not key or (b"\0" in value and not key.startswith(XATTR_PREFIX)):
            raise Unusable("is malformed")
        yield key, value
        start = end
