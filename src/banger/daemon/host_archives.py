"""Images from files of the host: archives, compressed or not, and OCI image layouts."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final

from banger.core.content_store import digest_file
from banger.core.platforms import host_architecture
from banger.core.progress import Progress
from banger.core.provenance import Provenance
from banger.core.reading import open_regular
from banger.core.untrusted import printable
from banger.disk.decompression import ExpansionLimits, LayerReader
from banger.disk.rootfs import ArchiveTree
from banger.image.archives.oci import read_oci_layout
from banger.image.archives.places import DirectoryPlace
from banger.image.importing import import_archive
from banger.image.layered import make_layered_image
from banger.image.platforms import platform_of_machine
from banger.image.rootfs import ReadLayers
from banger.image.store import Image, ImageStore

# How compressed archives begin (RFC 1952, RFC 8878).
_COMPRESSED: Final = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd")
_ARCHIVE_TYPE: Final = "application/vnd.oci.image.layer.v1.tar+gzip"


def import_path(
    store: ImageStore,
    name: str,
    path: Path,
    *,
    read_layers: ReadLayers,
    tag: str | None,
    architecture: str | None,
    report: Callable[[Progress], None],
    check: Callable[[], None],
    provenance: Provenance | None = None,
) -> Image:
    """Make an image from what is at `path`; blocking, for a thread.

    Raises `OSError`, `NotFound`, and what the readers raise.

    With an `architecture`, only one for that is accepted; without, this computer's own is chosen among several.
    `provenance` is where the file came from, if that is known.
    """
    if path.is_dir():
        with closing(DirectoryPlace(path)) as place:
            found = read_oci_layout(place, platform_of_machine(architecture or host_architecture()), tag=tag)
            return make_layered_image(
                store,
                name,
                found,
                read_layers=read_layers,
                origin="imported layout",
                provenance=Provenance(kind="archive", digest=found.digest),
                report=report,
                check=check,
            )

    with open_regular(path, what=printable(str(path))) as archive:
        return import_archive(
            store,
            name,
            archive,
            read_rootfs=partial(_read_archive, path),
            read_layers=read_layers,
            tag=tag,
            architecture=architecture,
            report=report,
            check=check,
            provenance=provenance,
        )


def _read_archive(path: Path, source: BinaryIO, *, scratch: Path | None, report: Callable[[int], None]) -> ArchiveTree:
    """The tree of the archive at `path`, open as `source`, compressed or not."""
    start = source.read(4)
    source.seek(0)
    if not start.startswith(_COMPRESSED):
        return ArchiveTree(source, scratch=scratch, report=report)
    blob = LayerReader(
        source,
        media_type=_ARCHIVE_TYPE,
        digest=digest_file(path),
        size=os.fstat(source.fileno()).st_size,
        diff_id=None,
        limits=ExpansionLimits(),
    )
    with closing(blob):
        tree = ArchiveTree(blob.content, scratch=scratch, report=report)
        blob.finish()
    return tree
