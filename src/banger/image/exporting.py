"""Archives of images for other tools: the documents of an archive with one layer. Pure.

Sources: OCI image specification 1.1; Docker image specification v1.2, "Combined Image JSON + Filesystem Changeset
Format". The same image always gives the same bytes: there is no time in them that the image does not have itself.
"""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from banger.image.archives.docker import MANIFEST_FILE
from banger.image.archives.oci import LAYOUT_FILE, NAME_ANNOTATION
from banger.image.digests import compute_digest
from banger.image.platforms import platform_of_machine
from banger.image.run_config import DEFAULT_STOP_SIGNAL
from banger.image.store import Image

ExportFormat = Literal["oci", "docker", "tar"]
FORMATS: Final[tuple[ExportFormat, ...]] = ("oci", "docker", "tar")
_LAYER_TYPE: Final = "application/vnd.oci.image.layer.v1.tar"
_CONFIG_TYPE: Final = "application/vnd.oci.image.config.v1+json"
_MANIFEST_TYPE: Final = "application/vnd.oci.image.manifest.v1+json"
_INDEX_TYPE: Final = "application/vnd.oci.image.index.v1+json"
_TAG: Final = "latest"
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)", re.ASCII)  # RFC 3339


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedArchive:
    """The files of an archive in their order, the layer last. `digest` is that of the manifest or configuration."""

    files: Sequence[tuple[str, bytes]]
    layer_path: str
    digest: str


def plan_archive(
    image: Image, format_: Literal["oci", "docker"], *, layer_digest: str, layer_bytes: int
) -> PlannedArchive:
    """The files of an archive beside the one layer with all of the image's files."""
    config = _encode(_describe_config(image, layer_digest))
    if format_ == "docker":
        return _plan_docker(image, config, layer_digest)
    return _plan_oci(image, config, layer_digest=layer_digest, layer_bytes=layer_bytes)


def _plan_oci(image: Image, config: bytes, *, layer_digest: str, layer_bytes: int) -> PlannedArchive:
    manifest = _encode(
        {
            "schemaVersion": 2,
            "mediaType": _MANIFEST_TYPE,
            "config": _descriptor(_CONFIG_TYPE, config),
            "layers": [{"mediaType": _LAYER_TYPE, "digest": layer_digest, "size": layer_bytes}],
        }
    )
    platform = platform_of_machine(image.architecture)
    index = {
        "schemaVersion": 2,
        "mediaType": _INDEX_TYPE,
        "manifests": [
            {
                **_descriptor(_MANIFEST_TYPE, manifest),
                "platform": {"architecture": platform.architecture, "os": platform.os},
                "annotations": {NAME_ANNOTATION: _TAG},
            }
        ],
    }
    return PlannedArchive(
        files=(
            (LAYOUT_FILE, b'{"imageLayoutVersion":"1.0.0"}'),
            ("index.json", _encode(index)),
            (_blob_path(compute_digest(manifest)), manifest),
            (_blob_path(compute_digest(config)), config),
        ),
        layer_path=_blob_path(layer_digest),
        digest=compute_digest(manifest),
    )


def _plan_docker(image: Image, config: bytes, layer_digest: str) -> PlannedArchive:
    config_path = f"{compute_digest(config).removeprefix('sha256:')}.json"
    layer_path = f"{layer_digest.removeprefix('sha256:')}/layer.tar"
    manifest = [{"Config": config_path, "RepoTags": [f"{image.name}:{_TAG}"], "Layers": [layer_path]}]
    return PlannedArchive(
        files=((MANIFEST_FILE, _encode(manifest)), (config_path, config)),
        layer_path=layer_path,
        digest=compute_digest(config),
    )


def _describe_config(image: Image, layer_digest: str) -> Mapping[str, Any]:
    platform = platform_of_machine(image.architecture)
    run = image.run
    execution = {
        "User": run.user,
        "Env": [f"{name}={value}" for name, value in image.environment.items()],
        "Entrypoint": list(run.entrypoint),
        "Cmd": list(run.command),
        "WorkingDir": run.working_dir,
        "Labels": dict(image.oci.get("labels", {})),
        "StopSignal": "" if run.stop_signal == DEFAULT_STOP_SIGNAL else _name_signal(run.stop_signal),
    }
    created = image.oci.get("created") or ""
    when = {"created": created} if _TIME.fullmatch(created) is not None else {}
    return {
        **when,
        "architecture": platform.architecture,
        "os": platform.os,
        "config": {key: value for key, value in execution.items() if value},
        "rootfs": {"type": "layers", "diff_ids": [layer_digest]},
        "history": [{**when, "created_by": "banger image export"}],
    }


def _name_signal(number: int) -> str:
    """A signal's name, in a form that programs accept which know signals by name or by number."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)


def _descriptor(media_type: str, content: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": compute_digest(content), "size": len(content)}


def _blob_path(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def _encode(document: Any) -> bytes:  # noqa: ANN401 - any document
    return json.dumps(document, separators=(",", ":")).encode()
