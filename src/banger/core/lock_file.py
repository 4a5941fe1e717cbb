"""`banger.lock`: which image and kernel the VMs of a repository boot, by digest. Pure.

It comes from a repository, and so from anybody. It holds only names, digests, and where an image was fetched
from; whoever follows it has to judge what that leads to.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from banger.core.errors import Invalid, Unsupported
from banger.core.names import parse_image_name
from banger.core.toml import parse_toml
from banger.core.untrusted import printable

LOCK_FILE: Final = "banger.lock"
SIZE_LIMIT_BYTES: Final = 64 << 10
VERSION: Final = 1
SOURCES: Final = ("distribution", "oci", "bundle", "other")
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
_REFERENCE: Final = re.compile(r"[\x20-\x7e]{0,500}")
_PLATFORMS: Final = ("linux/amd64", "linux/arm64")
_HINT: Final = "`banger lock` writes a new one"
_HEAD: Final = """\
# What the VMs of this repository boot with `banger vm run --locked`. Written by `banger lock`.
"""


class Pin(NamedTuple):
    """An image or a kernel. `digest` is that of its content; `reference` and `fetched` say what to get, and whence.

    `source` is one of `SOURCES`; `fetched` is the digest of what was got, or empty.
    """

    name: str
    platform: str
    digest: str
    source: str
    reference: str
    fetched: str


class Lock(NamedTuple):
    """Both."""

    image: Pin
    kernel: Pin


def parse_lock(text: bytes, *, file: str) -> Lock:
    """Read a lock file strictly. `file` is its name in errors. Raises `Invalid` and `Unsupported`."""
    shown = printable(file, limit=300)
    if len(text) > SIZE_LIMIT_BYTES:
        raise Invalid(f"{shown} is larger than a lock file may be", hint=_HINT)
    try:
        document = parse_toml(text.decode())
    except ValueError as error:
        raise Invalid(f"{shown} is not a TOML document: {printable(str(error), limit=200)}", hint=_HINT) from error
    version = document.get("version")
    if type(version) is not int:
        raise Invalid(f"{shown} does not say its version", hint=_HINT)
    if version != VERSION:
        raise Unsupported(f"{shown} is of version {version}, and this banger reads version {VERSION}", hint=_HINT)
    try:
        _check_members(document, ("version", "image", "kernel"))
        pins = [_parse_pin(document[part], part) for part in ("image", "kernel")]
    except Invalid as error:
        raise Invalid(f"{shown}: {error.summary}", hint=error.hint) from error
    return Lock(*pins)


def check_pin(pin: Pin) -> Pin:
    """Return `pin` if it is well-formed. Raises `Invalid`."""
    parse_image_name(pin.name)
    if pin.platform not in _PLATFORMS:
        raise Invalid(f"{ascii(pin.platform[:80])} is not a platform", hint=_HINT)
    if _DIGEST.fullmatch(pin.digest) is None or (pin.fetched and _DIGEST.fullmatch(pin.fetched) is None):
        raise Invalid(f"{pin.name} has no proper digest", hint=_HINT)
    if pin.source not in SOURCES:
        raise Invalid(f"{ascii(pin.source[:80])} is not a kind of source", hint=_HINT)
    if _REFERENCE.fullmatch(pin.reference) is None:
        raise Invalid(f"{pin.name} has no proper reference", hint=_HINT)
    return pin


def render_lock(lock: Lock) -> bytes:
    """The text of the file, always the same for the same pins. Raises `Invalid` if it could not be parsed again."""
    lines = [_HEAD, f"version = {VERSION}\n"]
    for part, pin in lock._asdict().items():
        lines.append(f"\n[{part}]\n")
        lines += [f"{member} = {_quote(value)}\n" for member, value in check_pin(pin)._asdict().items() if value]
    return "".join(lines).encode()


def _parse_pin(value: object, part: str) -> Pin:
    if not isinstance(value, dict):
        raise Invalid(f"{part} is not a section", hint=_HINT)
    _check_members(value, Pin._fields, optional=("reference", "fetched"))
    for member, content in value.items():
        if not isinstance(content, str):
            raise Invalid(f"{part}.{member} is not a string", hint=_HINT)
    return check_pin(Pin(**{"reference": "", "fetched": "", **value}))


def _check_members(values: Mapping[str, object], members: tuple[str, ...], *, optional: tuple[str, ...] = ()) -> None:
    for member in values:
        if member not in members:
            raise Invalid(f"there is no member {ascii(member[:80])}", hint=_HINT)
    for member in members:
        if member not in values and member not in optional:
            raise Invalid(f"{member} is missing", hint=_HINT)


def _quote(text: str) -> str:
    """A basic string of TOML; what has to be escaped in it is what JSON escapes too."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
