"""The OCI image layout: `oci-layout`, `index.json`, and blobs by digest.

Source: OCI image specification 1.1, image-layout.md.
"""

from __future__ import annotations

from typing import Annotated, BinaryIO, Final, Literal

import msgspec

from banger.core.errors import Failed, Invalid
from banger.core.layers import Layer
from banger.core.untrusted import printable
from banger.image.archives.places import Place, read_small
from banger.image.config import check_config, parse_config
from banger.image.digests import compute_digest, parse_digest, shorten
from banger.image.documents import convert_document, read_document
from banger.image.layered import LayeredImage
from banger.image.manifest import (
    DOCUMENT_LIMIT_BYTES,
    Descriptor,
    Index,
    Manifest,
    parse_manifest,
    select_manifest,
)
from banger.image.platforms import Platform

LAYOUT_FILE: Final = "oci-layout"
_NESTING_LIMIT: Final = 4
NAME_ANNOTATION: Final = "org.opencontainers.image.ref.name"
_HINT: Final = "is the archive whole? Write it again with the tool that made it"


class _Named(msgspec.Struct, frozen=True, rename="camel"):
    media_type: str
    digest: str
    size: Annotated[int, msgspec.Meta(ge=0)]
    annotations: dict[str, str] | None = None


class _TopIndex(msgspec.Struct, frozen=True, rename="camel"):
    schema_version: Literal[2]
    manifests: Annotated[list[_Named], msgspec.Meta(max_length=1024)]


def read_oci_layout(place: Place, platform: Platform, *, tag: str | None) -> LayeredImage:
    """The image that is called `tag` in a layout, or the only one.

    Raises `Invalid` when there are several and no `tag`, `Failed` for what does not fit together, `Unsupported` for an
    image of another platform.
    """
    what = "the index of the layout"
    content = read_small(place, "index.json", limit_bytes=DOCUMENT_LIMIT_BYTES)
    if content is None:
        raise Failed("the image layout has no index.json", hint=_HINT)
    top = convert_document(read_document(content, what=what), _TopIndex, what=what)
    chosen = _choose(top.manifests, tag)
    described = Descriptor(media_type=chosen.media_type, digest=parse_digest(chosen.digest), size=chosen.size)
    digest, manifest = _find_manifest(place, described, platform)
    what = f"the configuration of {shorten(digest)}"
    config = parse_config(_read_blob(place, manifest.config), what=what)
    check_config(config, manifest, platform, what="the image")
    return LayeredImage(
        digest=digest,
        config=config,
        layers=tuple(
            _layer(place, layer, diff_id) for layer, diff_id in zip(manifest.layers, config.diff_ids, strict=True)
        ),
    )


def _choose(named: list[_Named], tag: str | None) -> _Named:
    names = [(entry.annotations or {}).get(NAME_ANNOTATION, "") for entry in named]
    if tag is not None:
        for entry, name in zip(named, names, strict=True):
            if tag in (name, name.rpartition(":")[2]):
                return entry
    elif len({entry.digest for entry in named}) == 1:
        return named[0]
    shown = ", ".join(printable(name, limit=60) for name in names[:10] if name) or "without names"
    raise Invalid(
        f"the archive has no image {printable(tag, limit=60)}" if tag else f"the archive has {len(named)} images",
        hint=f"choose one with --tag: {shown}" if any(names) else "give an archive of one image",
    )


def _find_manifest(place: Place, described: Descriptor, platform: Platform) -> tuple[str, Manifest]:
    """The manifest for `platform` and its digest, found through a bounded number of indexes."""
    for _ in range(_NESTING_LIMIT):
        what = f"the manifest {shorten(described.digest)}"
        found = parse_manifest(_read_blob(place, described), media_type=described.media_type or None, what=what)
        if not isinstance(found, Index):
            return described.digest, found
        described = select_manifest(found, platform, what="the image")
    raise Failed(f"there are more than {_NESTING_LIMIT} indexes inside each other in the archive", hint=_HINT)


def _read_blob(place: Place, described: Descriptor) -> bytes:
    content = read_small(place, _path(described.digest), limit_bytes=DOCUMENT_LIMIT_BYTES)
    if content is None:
        raise Failed(f"the blob {shorten(described.digest)} is missing in the archive", hint=_HINT)
    found = compute_digest(content, like=described.digest)
    if found != described.digest:
        raise Failed(f"the blob {described.digest} in the archive is damaged: it is {found}", hint=_HINT)
    return content


def _layer(place: Place, described: Descriptor, diff_id: str) -> Layer:
    path = _path(described.digest)

    def open_layer() -> BinaryIO:
        file = place.open(path)
        if file is None:
            raise Failed(f"the layer {shorten(described.digest)} is missing in the archive", hint=_HINT)
        return file

    return Layer(
        open=open_layer,
        media_type=described.media_type,
        digest=described.digest,
        size=described.size,
        diff_id=diff_id,
    )


def _path(digest: str) -> str:
    """Where a layout keeps a blob; `digest` was checked, so that each part of the path is plain."""
    algorithm, _, value = parse_digest(digest).partition(":")
    return f"blobs/{algorithm}/{value}"
