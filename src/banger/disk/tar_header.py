"""The fields of tar headers, each with its checks. Pure.

Formats: POSIX `pax`, "ustar Interchange Format" and "pax Extended Header"; GNU tar manual, "Basic Tar Format".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from banger.core.errors import Invalid
from banger.disk.tree import HINT

BLOCK: Final = 512
XATTR_PREFIX: Final = b"SCHILY.xattr."
XATTR_NAMESPACES: Final = (b"user.", b"trusted.", b"security.")
XATTR_NAMES: Final = (b"system.posix_acl_access", b"system.posix_acl_default")
XATTR_BYTES_LIMIT: Final = 3968  # of one file, names and values with 4 bytes each: what fits beside an EROFS inode
_MAGICS: Final = (b"ustar\x0000", b"ustar  \0", bytes(8))  # POSIX, GNU, and archives older than both
_ID_LIMIT: Final = 0xFFFF_FFFF  # 32 bits; the last value means "no id" to the kernel
_SECONDS_LIMIT: Final = 1 << 48
_OCTAL: Final = frozenset(b"01234567")


@dataclass(frozen=True, slots=True)
class Header:
    """One header block, decoded as far as every kind of member needs it."""

    raw: bytes
    kind: bytes
    path: bytes
    target: bytes
    size: int


def parse_header(raw: bytes) -> Header:
    """Decode a block whose magic and checksum are right. Raises `Invalid` for any other."""
    if raw[257:265] not in _MAGICS:
        raise Invalid("this is no tar archive, or a part of it is damaged", hint=HINT)
    if sum(raw[:148]) + 8 * 32 + sum(raw[156:]) != parse_number(raw[148:156], "a header"):
        raise Invalid("a header of the archive has a wrong checksum", hint=HINT)
    path = cut_at_nul(raw[:100])
    if raw[257:263] == b"ustar\0" and raw[345]:
        path = cut_at_nul(raw[345:500]) + b"/" + path
    return Header(
        raw=raw,
        kind=raw[156:157],
        path=path,
        target=cut_at_nul(raw[157:257]),
        size=parse_number(raw[124:136], "a header"),
    )


def cut_at_nul(field: bytes) -> bytes:
    """A text field ends at its first NUL or at its end."""
    return field.split(b"\0", 1)[0]


def parse_number(field: bytes, shown: str, *, signed: bool = False) -> int:
    """Octal text, or GNU's form: the high bit set and a big-endian number after it. An empty field is 0."""
    if field[0] & 0x80:
        number = int.from_bytes(field, "big") & ((1 << (8 * len(field) - 1)) - 1)
        if not field[0] & 0x40:
            return number
        if signed:
            return number - (1 << (8 * len(field) - 1))
        raise Invalid(f"there is a negative number in the header of {shown}", hint=HINT)
    text = field.strip(b" \0")
    if not _OCTAL.issuperset(text):
        raise Invalid(f"a number in the header of {shown} is not octal", hint=HINT)
    return int(text, 8) if text else 0


def parse_decimal(text: bytes, shown: str) -> int:
    """A number of an extended header."""
    if not text.isdigit() or len(text) > 19:
        raise Invalid(f"a number in the extended header of {shown} is malformed", hint=HINT)
    return int(text)


def parse_id(extended: bytes | None, field: bytes, shown: str) -> int:
    """A user or group id, from the extended header if it is there."""
    number = parse_decimal(extended, shown) if extended is not None else parse_number(field, shown)
    if number >= _ID_LIMIT:
        raise Invalid(f"{shown} belongs to an impossible user or group", hint=HINT)
    return number


def parse_time(extended: bytes | None, field: bytes, shown: str) -> tuple[int, int]:
    """Seconds since the epoch, and nanoseconds from 0 to 999 999 999 after them."""
    if extended is None:
        seconds, nanoseconds = parse_number(field, shown, signed=True), 0
    else:
        whole, point, fraction = extended.partition(b".")
        negative = whole.startswith(b"-")
        digits = whole[1:] if negative else whole
        if not digits.isdigit() or len(digits) > 18 or (point and not fraction.isdigit()):
            raise Invalid(f"the time of {shown} is malformed", hint=HINT)
        seconds, nanoseconds = int(digits), int(fraction[:9].ljust(9, b"0"))
        if negative:
            seconds = -seconds
            if nanoseconds:
                seconds, nanoseconds = seconds - 1, 1_000_000_000 - nanoseconds
    if abs(seconds) > _SECONDS_LIMIT:
        raise Invalid(f"the time of {shown} is impossible", hint=HINT)
    return seconds, nanoseconds


def parse_device(raw: bytes, shown: str) -> tuple[int, int]:
    """Major and minor number, within what Linux has (12 and 20 bits)."""
    major, minor = parse_number(raw[329:337], shown), parse_number(raw[337:345], shown)
    if major >= 1 << 12 or minor >= 1 << 20:
        raise Invalid(f"the device {shown} has impossible numbers", hint=HINT)
    return major, minor


def parse_xattrs(values: dict[bytes, bytes], shown: str) -> dict[bytes, bytes] | None:
    """The extended attributes among the records of an extended header; others than Linux has are refused."""
    xattrs: dict[bytes, bytes] = {}
    total = 0
    for key, value in values.items():
        if not key.startswith(XATTR_PREFIX):
            continue
        name = key[len(XATTR_PREFIX) :].replace(b"%3D", b"=").replace(b"%25", b"%")  # as GNU tar writes them
        if not (name.startswith(XATTR_NAMESPACES) or name in XATTR_NAMES) or b"\0" in name or len(name) > 255:
            raise Invalid(
                f"{shown} has an extended attribute with a name that Linux does not have",
                hint="make the archive without extended attributes (tar --no-xattrs)",
            )
        total += len(name) + len(value) + 4 + 3
        xattrs[name] = value
    if total > XATTR_BYTES_LIMIT:
        raise Invalid(
            f"{shown} has more than {XATTR_BYTES_LIMIT} bytes of extended attributes",
            hint="make the archive without extended attributes (tar --no-xattrs)",
        )
    return xattrs or None


def parse_records(data: bytes) -> dict[bytes, bytes]:
    """The records `LENGTH KEY=VALUE` of an extended header; a malformed one is an error, never skipped."""
    values: dict[bytes, bytes] = {}
    start = 0
    while start < len(data):
        space = data.find(b" ", start, start + 12)
        digits = data[start:space] if space > 0 else b""
        end = start + int(digits) if digits.isdigit() else 0
        if not space < end - 1 < len(data) or data[end - 1] != 0x0A:
            raise Invalid("an extended header of the archive is malformed", hint=HINT)
        key, equals, value = data[space + 1 : end - 1].partition(b"=")
        if not equals or not key or (b"\0" in value and not key.startswith(XATTR_PREFIX)):
            raise Invalid("an extended header of the archive is malformed", hint=HINT)
        values[key] = value
        start = end
    return values
