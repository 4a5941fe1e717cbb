"""Manifests and indexes of images, as OCI and Docker (schema 2) write them. Pure.

Sources: OCI image specification 1.1 (manifest.md, image-index.md, descriptor.md), Docker's "Image Manifest V 2, Schema
2". A document that could be read as two kinds is refused: a client that reads one and a scanner that reads the other
would see different images under one digest (CVE-2021-41190).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

import msgspec

from banger.core.errors import BangerError, Failed, Unsupported
from banger.core.sizes import GIB, MIB, format_size
from banger.core.untrusted import printable
from banger.image.digests import parse_digest
from banger.image.documents import convert_document, read_document
from banger.image.platforms import Platform

Compression = Literal["none", "gzip", "zstd"]

DOCUMENT_LIMIT_BYTES: Final = 4 * MIB  # of a manifest, an index or a configuration
LAYERS_LIMIT: Final = 128  # Docker makes up to 127
ENTRIES_LIMIT: Final = 1024
LAYER_LIMIT_BYTES: Final = 64 * GIB  # as it is transferred
IMAGE_LIMIT_BYTES: Final = 128 * GIB
_SHOWN_PLATFORMS: Final = 20

INDEX_TYPES: Final = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
MANIFEST_TYPES: Final = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
CONFIG_TYPES: Final = (
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
)
LAYER_TYPES: Final[dict[str, Compression]] = {
    "application/vnd.oci.image.layer.v1.tar": "none",
    "application/vnd.oci.image.layer.v1.tar+gzip": "gzip",
    "application/vnd.oci.image.layer.v1.tar+zstd": "zstd",
    "application/vnd.docker.image.rootfs.diff.tar": "none",
    "application/vnd.docker.image.rootfs.diff.tar.gzip": "gzip",
    "application/vnd.docker.image.rootfs.diff.tar.zstd": "zstd",
}
_FOREIGN: Final = (".nondistributable.", ".foreign.")
_SCHEMA_1: Final = "application/vnd.docker.distribution.manifest.v1+"
_UNKNOWN: Final = "unknown"  # what builders give as the platform of attestations, which are no images


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptor:
    """A document's description of a blob: its type, its digest (parsed), and its size in bytes."""

    media_type: str
    digest: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """One image: its configuration and its layers, the lowest first. Blobs that are there twice agree on their size."""

    media_type: str
    config: Descriptor
    layers: tuple[Descriptor, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexEntry:
    """A manifest for a platform."""

    descriptor: Descriptor
    platform: Platform


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """Manifests of the same image for several platforms; what is not an image, such as attestations, is left out."""

    media_type: str
    entries: tuple[IndexEntry, ...]


class _Platform(msgspec.Struct, frozen=True):
    architecture: str = ""
    os: str = ""
    variant: str = ""


class _Descriptor(msgspec.Struct, frozen=True, rename="camel"):
    media_type: str
    digest: str
    size: Annotated[int, msgspec.Meta(ge=0, le=LAYER_LIMIT_BYTES)]
    platform: _Platform | None = None


class _Manifest(msgspec.Struct, frozen=True, rename="camel"):
    schema_version: Literal[2]
    config: _Descriptor
    layers: Annotated[list[_Descriptor], msgspec.Meta(max_length=LAYERS_LIMIT)]
    artifact_type: str | None = None


class _Index(msgspec.Struct, frozen=True, rename="camel"):
    schema_version: Literal[2]
    manifests: Annotated[list[_Descriptor], msgspec.Meta(max_length=ENTRIES_LIMIT)]


def parse_manifest(content: bytes, *, media_type: str | None, what: str) -> Manifest | Index:
    """Read a manifest or an index. `media_type` is what came with it, None for nothing; `what` is its name in errors.

    Raises `Failed` if it contradicts itself or the specification, `Unsupported` if it is not an image that we can run.
    """
    value = read_document(content, what=what)
    kind = _find_kind(value, media_type, what)
    if kind in INDEX_TYPES:
        return _index(convert_document(value, _Index, what=what), kind, what)
    return _manifest(convert_document(value, _Manifest, what=what), kind, what)


def select_manifest(index: Index, platform: Platform, *, what: str) -> Descriptor:
    """The manifest of an index for `platform`. Raises `Unsupported` naming the platforms there are."""
    found = [entry for entry in index.entries if platform.runs(entry.platform)]
    # The same architecture without a variant, or with the wanted one, before others that also run.
    found.sort(key=lambda entry: entry.platform.variant not in ("", platform.variant))
    if not found:
        raise wrong_platform(what, platform, [entry.platform for entry in index.entries])
    return found[0].descriptor


def wrong_platform(what: str, wanted: Platform, there: list[Platform]) -> Unsupported:
    """The error for an image that is not for `wanted`, naming what it is for."""
    names = list(dict.fromkeys(printable(str(platform), limit=60) or _UNKNOWN for platform in there))
    shown = ", ".join(names[:_SHOWN_PLATFORMS]) + (", ..." if len(names) > _SHOWN_PLATFORMS else "")
    return Unsupported(
        f"{what} is not for {wanted}" + (f", but for {shown}" if shown else ""),
        hint="choose another image or tag" + (", or one of these with --platform" if shown else ""),
    )


def _find_kind(value: dict[str, Any], media_type: str | None, what: str) -> str:
    """The one media type that header, document and members agree on."""
    said = value.get("mediaType")
    if said is not None and not isinstance(said, str):
        raise _contradicts(what, "its mediaType is not a string")
    if said and media_type and said != media_type:
        raise _contradicts(
            what, f"it was sent as {printable(media_type, limit=80)} and says {printable(said, limit=80)}"
        )
    if "fsLayers" in value or (media_type or said or "").startswith(_SCHEMA_1) or value.get("schemaVersion") == 1:
        raise Unsupported(
            f"{what} is in Docker's old format (schema 1)",
            hint="push the image again with a current tool, or ask the registry for another tag",
        )
    if "manifests" in value and ("layers" in value or "config" in value):
        raise _contradicts(what, "it is an index and an image in one")
    is_index = "manifests" in value
    kind = media_type or said or (INDEX_TYPES[0] if is_index else MANIFEST_TYPES[0])
    if kind not in (*INDEX_TYPES, *MANIFEST_TYPES):
        raise Unsupported(
            f"{what} is of the type {printable(kind, limit=80)}, which is not an image",
            hint="check the name",
        )
    if is_index != (kind in INDEX_TYPES):
        raise _contradicts(what, f"its members are not those of {kind}")
    return kind


def _index(index: _Index, kind: str, what: str) -> Index:
    entries = []
    for entry in index.manifests:
        there = entry.platform
        if entry.media_type not in MANIFEST_TYPES or there is None or there.os == _UNKNOWN:
            continue
        descriptor = _descriptor(entry, what)
        if descriptor.size > DOCUMENT_LIMIT_BYTES:
            raise _too_large(what, "a manifest", descriptor.size, DOCUMENT_LIMIT_BYTES)
        entries.append(
            IndexEntry(descriptor=descriptor, platform=Platform(there.os, there.architecture, there.variant))
        )
    if not entries:
        raise Unsupported(f"{what} is an index without any image", hint="check the name and the tag")
    return Index(media_type=kind, entries=tuple(entries))


def _manifest(manifest: _Manifest, kind: str, what: str) -> Manifest:
    if manifest.config.media_type not in CONFIG_TYPES:
        found = printable(manifest.artifact_type or manifest.config.media_type, limit=80)
        raise Unsupported(
            f"{what} is not an image but an artifact of the type {found}", hint="check the name and the tag"
        )
    if not manifest.layers:
        raise Unsupported(f"{what} has no layers, so there is nothing to boot", hint="choose another image")
    for layer in manifest.layers:
        _check_layer(layer, what)
    layers = tuple(_descriptor(layer, what) for layer in manifest.layers)
    config = _descriptor(manifest.config, what)
    if config.size > DOCUMENT_LIMIT_BYTES:
        raise _too_large(what, "a configuration", config.size, DOCUMENT_LIMIT_BYTES)
    _check_sizes((config, *layers), what)
    return Manifest(media_type=kind, config=config, layers=layers)


def _check_layer(layer: _Descriptor, what: str) -> None:
    if any(word in layer.media_type for word in _FOREIGN):
        raise Unsupported(
            f"{what} has a layer that is not in the registry but somewhere on the web",
            hint="only layers from the registry itself are fetched; choose another image",
        )
    if layer.media_type not in LAYER_TYPES:
        raise Unsupported(
            f"{what} has a layer of the type {printable(layer.media_type, limit=80)}",
            hint="layers are tar archives, plain or compressed by gzip or zstd; encrypted ones cannot be read",
        )


def _check_sizes(blobs: tuple[Descriptor, ...], what: str) -> None:
    sizes: dict[str, int] = {}
    for blob in blobs:
        if blob.size == 0:
            raise _contradicts(what, f"the blob {blob.digest[:19]} has no bytes")
        if sizes.setdefault(blob.digest, blob.size) != blob.size:
            raise _contradicts(what, f"the blob {blob.digest[:19]} is there with two sizes")
    if sum(sizes.values()) > IMAGE_LIMIT_BYTES:
        raise _too_large(what, "an image", sum(sizes.values()), IMAGE_LIMIT_BYTES)


def _descriptor(found: _Descriptor, what: str) -> Descriptor:
    try:
        digest = parse_digest(found.digest)
    except BangerError as error:
        raise _contradicts(what, error.summary) from error
    return Descriptor(media_type=found.media_type, digest=digest, size=found.size)


def _contradicts(what: str, why: str) -> Failed:
    return Failed(
        f"{what} cannot be trusted: {why}",
        hint="the registry sent something that no honest tool writes; ask its operator, or try another tag",
    )


def _too_large(what: str, part: str, size: int, limit: int) -> Unsupported:
    return Unsupported(
        f"{what} has {part} of {format_size(size)}, and {format_size(limit)} are allowed", hint="choose another image"
    )
