"""What `docker save` and `podman save` write: `manifest.json`, which names a configuration and uncompressed layers.

Source: Docker image specification v1.2, "Combined Image JSON + Filesystem Changeset Format".
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, BinaryIO, Final

import msgspec

from banger.core.errors import Failed, Invalid
from banger.core.layers import Layer
from banger.core.untrusted import printable
from banger.image.archives.places import Place, read_small
from banger.image.config import parse_config
from banger.image.digests import compute_digest
from banger.image.documents import convert_document, read_document
from banger.image.layered import LayeredImage
from banger.image.manifest import DOCUMENT_LIMIT_BYTES, LAYERS_LIMIT, wrong_platform
from banger.image.platforms import Platform

MANIFEST_FILE: Final = "manifest.json"
# The layers carry no type: whoever unpacks them looks how they begin.
_LAYER_TYPE: Final = "application/vnd.docker.image.rootfs.diff.tar"
_HINT: Final = "is the archive whole? Write it again with `docker save` or `podman save`"
_PATH_LIMIT: Final = 400
_READ_BYTES: Final = 1 << 20


class _Saved(msgspec.Struct, frozen=True, rename="pascal"):
    config: Annotated[str, msgspec.Meta(max_length=_PATH_LIMIT)]
    layers: Annotated[list[Annotated[str, msgspec.Meta(max_length=_PATH_LIMIT)]], msgspec.Meta(max_length=LAYERS_LIMIT)]
    repo_tags: list[str] | None = None


def read_docker_archive(place: Place, platform: Platform, *, tag: str | None) -> LayeredImage:
    """The image that is called `tag` in the archive, or the only one.

    Raises `Invalid` when there are several and no `tag`, `Failed` for what does not fit together, `Unsupported` for an
    image of another platform.
    """
    what = "manifest.json of the archive"
    content = read_small(place, MANIFEST_FILE, limit_bytes=DOCUMENT_LIMIT_BYTES)
    if content is None:
        raise Failed("the archive has no manifest.json", hint=_HINT)
    # The document is a list, and documents are objects.
    wrapped = read_document(b'{"list":' + content + b"}", what=what)
    if set(wrapped) != {"list"}:
        raise Failed(f"{what} is malformed", hint=_HINT)
    chosen = _choose(convert_document(wrapped["list"], list[_Saved], what=what), tag)
    if not all(map(_is_path, (chosen.config, *chosen.layers))):
        raise Failed(f"{what} names something that cannot be a file", hint=_HINT)
    config_bytes = read_small(place, chosen.config, limit_bytes=DOCUMENT_LIMIT_BYTES)
    if config_bytes is None:
        raise Failed(f"the configuration {printable(chosen.config, limit=100)} is missing in the archive", hint=_HINT)
    config = parse_config(config_bytes, what="the configuration of the image")
    if not platform.runs(config.platform):
        raise wrong_platform("the image", platform, [config.platform])
    if len(config.diff_ids) != len(chosen.layers):
        raise Failed(
            f"the archive has {len(chosen.layers)} layers, but its configuration lists {len(config.diff_ids)}",
            hint=_HINT,
        )
    layers = tuple(_layer(place, path, diff_id) for path, diff_id in zip(chosen.layers, config.diff_ids, strict=True))
    identity = json.dumps({"config": compute_digest(config_bytes), "layers": [layer.digest for layer in layers]})
    return LayeredImage(digest=compute_digest(identity.encode()), config=config, layers=layers)


def _is_path(path: str) -> bool:
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:  # a lone surrogate
        return False
    return bool(path) and "\0" not in path


def _choose(saved: list[_Saved], tag: str | None) -> _Saved:
    if tag is not None:
        for one in saved:
            if any(tag in (name, name.rpartition(":")[2]) for name in one.repo_tags or ()):
                return one
    elif len(saved) == 1:
        return saved[0]
    names = [name for one in saved for name in one.repo_tags or ()]
    shown = ", ".join(printable(name, limit=80) for name in names[:10])
    raise Invalid(
        f"the archive has no image {printable(tag, limit=60)}" if tag else f"the archive has {len(saved)} images",
        hint=f"choose one with --tag: {shown}" if names else "give an archive of one image",
    )


def _layer(place: Place, path: str, diff_id: str) -> Layer:
    def open_layer() -> BinaryIO:
        file = place.open(path)
        if file is None:
            raise Failed(f"the layer {printable(path, limit=100)} is missing in the archive", hint=_HINT)
        return file

    digest, size = hashlib.sha256(), 0
    with open_layer() as file:
        while data := file.read(_READ_BYTES):
            digest.update(data)
            size += len(data)
    return Layer(
        open=open_layer, media_type=_LAYER_TYPE, digest=f"sha256:{digest.hexdigest()}", size=size, diff_id=diff_id
    )
