"""The content of a catalogue: images and kernels by name and platform, each with its source. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Literal, TypeVar
from urllib.parse import urlsplit

import msgspec

from banger.core.errors import Invalid, Unsupported
from banger.core.untrusted import printable

SCHEMA: Final = 1
SIZE_LIMIT_BYTES: Final = 4 << 20
_ENTRIES_LIMIT: Final = 10_000
_HINT: Final = "tell its maintainer; nothing of it is used"
_VERSION_LIMIT: Final = 2**53 - 1  # what every reader of JSON counts exactly (RFC 8259, section 6)

Kind = Literal["image", "kernel"]
Platform = Literal["linux/amd64", "linux/arm64"]
_Name = Annotated[str, msgspec.Meta(pattern=r"\A[a-z0-9](?:[a-z0-9.-]{0,61}[a-z0-9])?\Z")]
_Text = Annotated[str, msgspec.Meta(max_length=200)]
_Url = Annotated[str, msgspec.Meta(pattern=r"\Ahttps?://[\x21-\x7e]{1,2000}\Z")]
_Reference = Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9._:/\[\]-]{1,400}@sha256:[0-9a-f]{64}\Z")]
_Hex = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]
_Size = Annotated[int, msgspec.Meta(ge=1, le=64 << 30)]
_Version = Annotated[int, msgspec.Meta(ge=1, le=_VERSION_LIMIT)]
_Time = Annotated[datetime, msgspec.Meta(tz=True)]


class _Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Unknown members are refused, not ignored."""


class Distribution(_Strict, frozen=True, tag="distribution", tag_field="type"):
    """Made on this computer from a distribution's signed archive, by one of banger's recipes."""

    recipe: _Name


class OciSource(_Strict, frozen=True, tag="oci", tag_field="type"):
    """An image of a registry, by its digest."""

    reference: _Reference


class Bundle(_Strict, frozen=True, tag="bundle", tag_field="type"):
    """A tar archive, plain or compressed: of a root file system, or of a kernel with its modules."""

    url: _Url
    sha256: _Hex
    size: _Size

    @property
    def digest(self) -> str:
        return f"sha256:{self.sha256}"


Source = Distribution | OciSource | Bundle


class Entry(_Strict, frozen=True):
    """An image or a kernel that can be had."""

    name: _Name
    kind: Kind
    platform: Platform
    source: Source
    description: _Text = ""


class Catalogue(_Strict, frozen=True):
    """A named list of entries. `version` counts up; after `expires` it is no longer trusted."""

    schema: Literal[1]
    name: _Name
    version: _Version
    issued: _Time
    expires: _Time
    entries: Annotated[tuple[Entry, ...], msgspec.Meta(max_length=_ENTRIES_LIMIT)]

    def find(self, kind: Kind, name: str, platform: str) -> Entry | None:
        """The entry of that name for a platform."""
        wanted = (kind, name, platform)
        return next((entry for entry in self.entries if (entry.kind, entry.name, entry.platform) == wanted), None)


class _Schema(msgspec.Struct):
    schema: int


def parse_catalogue(text: bytes, *, place: str) -> Catalogue:
    """Read a catalogue strictly. `place` is what it is called in errors.

    Raises `Unsupported` for one that was written for another version of banger, `Invalid` for what is none.
    """
    if len(text) > SIZE_LIMIT_BYTES:
        raise Invalid(f"{place} is larger than a catalogue may be", hint=_HINT)
    schema = decode(text, _Schema, what=place).schema
    if schema != SCHEMA:
        raise Unsupported(
            f"{place} is of schema {schema}, and this banger reads schema {SCHEMA}",
            hint="use another version of banger",
        )
    catalogue = decode(text, Catalogue, what=place)
    seen: set[tuple[str, str, str]] = set()
    for entry in catalogue.entries:
        key = (entry.kind, entry.name, entry.platform)
        if key in seen:
            raise Invalid(f"{place} has two entries for the {entry.kind} {entry.name}", hint=_HINT)
        seen.add(key)
        if isinstance(entry.source, Bundle):
            _check_url(entry.source.url, place=place, name=entry.name)
        if entry.kind == "kernel" and isinstance(entry.source, OciSource):
            raise Invalid(f"{place} has a kernel, {entry.name}, that is an OCI image", hint=_HINT)
    return catalogue


Document = TypeVar("Document")


def decode(text: bytes, kind: type[Document], *, what: str) -> Document:
    """Read JSON into a struct. Raises `Invalid`."""
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise Invalid(f"{what} is malformed: {printable(str(error), limit=200)}", hint=_HINT) from error


def _check_url(url: str, *, place: str, name: str) -> None:
    try:
        parts = urlsplit(url)
        good = bool(parts.hostname) and parts.username is None and not parts.fragment and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise Invalid(f"{place} has no usable address for {name}: {printable(url, limit=200)}", hint=_HINT)
