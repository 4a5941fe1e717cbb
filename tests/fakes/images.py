"""Images made by hand: layers, configurations, manifests and indexes, as bytes with their digests."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"

Packing = Literal["", "+gzip", "+zstd"]


def sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@dataclass(frozen=True)
class Blob:
    """Bytes, and what a descriptor says about them."""

    content: bytes = field(repr=False)
    media_type: str

    @property
    def digest(self) -> str:
        return sha256(self.content)

    def descriptor(self, **more: Any) -> dict[str, Any]:
        return {"mediaType": self.media_type, "digest": self.digest, "size": len(self.content), **more}


@dataclass(frozen=True)
class FakeImage:
    """An image for one platform."""

    manifest: Blob
    config: Blob
    layers: tuple[Blob, ...]

    @property
    def blobs(self) -> tuple[Blob, ...]:
        return (self.config, *self.layers)


def make_tar(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def pack(content: bytes, packing: Packing) -> bytes:
    if packing == "+gzip":
        return gzip.compress(content, compresslevel=1, mtime=0)
    return frame_zstd(content) if packing == "+zstd" else content


def frame_zstd(content: bytes) -> bytes:
    """A zstd frame of raw blocks (RFC 8878, section 3.1.1): valid, and needs no library."""
    frame = b"\x28\xb5\x2f\xfd\xe0" + len(content).to_bytes(8, "little")
    pieces = [content[start : start + 65536] for start in range(0, len(content), 65536)] or [b""]
    for number, piece in enumerate(pieces, start=1):
        frame += (len(piece) << 3 | (number == len(pieces))).to_bytes(3, "little") + piece
    return frame


def encode(document: Any) -> bytes:
    return json.dumps(document, indent=1).encode()


def make_image(
    *layers: bytes,
    packing: Packing | Sequence[Packing] = "+gzip",
    architecture: str = "amd64",
    variant: str = "",
    config: Mapping[str, Any] | None = None,
    says_its_type: bool = True,
) -> FakeImage:
    """An OCI image of layers that are given unpacked."""
    packings = [packing] * len(layers) if isinstance(packing, str) else packing
    packed = tuple(Blob(pack(layer, how), OCI_LAYER + how) for layer, how in zip(layers, packings, strict=True))
    document = {
        "architecture": architecture,
        "os": "linux",
        **({"variant": variant} if variant else {}),
        "config": {"Env": ["PATH=/bin"], "Cmd": ["/bin/sh"], **(config or {})},
        "rootfs": {"type": "layers", "diff_ids": [sha256(layer) for layer in layers]},
    }
    blob = Blob(encode(document), OCI_CONFIG)
    manifest = {
        "schemaVersion": 2,
        **({"mediaType": OCI_MANIFEST} if says_its_type else {}),
        "config": blob.descriptor(),
        "layers": [layer.descriptor() for layer in packed],
    }
    return FakeImage(Blob(encode(manifest), OCI_MANIFEST), blob, packed)


def make_docker_image(*layers: bytes) -> FakeImage:
    """The same in Docker's words."""
    made = make_image(*layers)
    packed = tuple(Blob(layer.content, DOCKER_LAYER) for layer in made.layers)
    config = Blob(made.config.content, DOCKER_CONFIG)
    manifest = {
        "schemaVersion": 2,
        "mediaType": DOCKER_MANIFEST,
        "config": config.descriptor(),
        "layers": [layer.descriptor() for layer in packed],
    }
    return FakeImage(Blob(encode(manifest), DOCKER_MANIFEST), config, packed)


def make_index(images: Mapping[str, FakeImage], *extra: Mapping[str, Any], media_type: str = OCI_INDEX) -> Blob:
    """An index over images by platform (`linux/arm64/v8`)."""
    entries = []
    for platform, image in images.items():
        os, architecture, *variant = platform.split("/")
        said = {"os": os, "architecture": architecture, **({"variant": variant[0]} if variant else {})}
        entries.append(image.manifest.descriptor(platform=said))
    return Blob(encode({"schemaVersion": 2, "mediaType": media_type, "manifests": [*entries, *extra]}), media_type)
