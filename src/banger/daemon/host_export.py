"""Images out of the store, as archives for other tools. A layer is read twice, first for its digest, and not stored."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Final

from banger.core.errors import Failed, Unsupported
from banger.core.progress import Progress
from banger.daemon.collaborators import Exported
from banger.disk.erofs_file import Damaged
from banger.disk.erofs_reader import read_erofs
from banger.disk.tar_writer import END, encode_file, padding, tar_pieces
from banger.image.exporting import ExportFormat, plan_archive
from banger.image.registering import OF_FILE
from banger.image.store import Image, ImageStore

_PIECE_BYTES: Final = 256 << 10
_STEP_BYTES: Final = 8 << 20


def export_pieces(
    store: ImageStore, image: Image, format_: ExportFormat, exported: Exported, report: Callable[[Progress], None]
) -> Generator[bytes]:
    """As `collaborators.Images.export`, from `store`. Raises `Unsupported` for an image that was made elsewhere."""
    yield b""
    if image.root_fs != "erofs" or image.file is not None or image.provenance.kind == OF_FILE:
        raise Unsupported(
            f"the file system of the image {image.name} was made elsewhere, and is not read on this computer",
            hint="export an image that banger made; in a VM of this one, `tar` can archive its files",
        )
    store.verify(image)
    for piece in _join(_archive_pieces(image, format_, exported, report)):
        exported.size_bytes += len(piece)
        yield piece


def _archive_pieces(
    image: Image, format_: ExportFormat, exported: Exported, report: Callable[[Progress], None]
) -> Iterator[bytes]:
    with image.rootfs.open("rb", buffering=0) as file:
        whole_bytes = os.fstat(file.fileno()).st_size
        try:
            tree = read_erofs(file)
        except Damaged as error:
            raise Failed(
                f"{image.rootfs.name} of the image {image.name} cannot be exported: {error}",
                hint="make the image again with this version of banger",
            ) from error
        if format_ == "tar":
            yield from _told(tar_pieces(tree), f"exporting {image.name}", whole_bytes, report)
            return
        digest, layer_bytes = hashlib.sha256(), 0
        for piece in _told(tar_pieces(tree), f"reading {image.name}", whole_bytes, report):
            digest.update(piece)
            layer_bytes += len(piece)
            yield b""
        plan = plan_archive(image, format_, layer_digest=f"sha256:{digest.hexdigest()}", layer_bytes=layer_bytes)
        exported.digest = plan.digest
        for path, content in plan.files:
            yield encode_file(path.encode(), len(content)) + content + padding(len(content))
        yield encode_file(plan.layer_path.encode(), layer_bytes)
        yield from _told(tar_pieces(tree), f"exporting {image.name}", layer_bytes, report)
        yield padding(layer_bytes) + END


def _told(pieces: Iterable[bytes], text: str, whole_bytes: int, report: Callable[[Progress], None]) -> Iterator[bytes]:
    """The same pieces; their total is reported now and then. `whole_bytes` may be an estimate."""
    done, told = 0, -_STEP_BYTES
    for piece in pieces:
        if done - told >= _STEP_BYTES:
            told = done
            total = max(done, whole_bytes)
            report(Progress(stage="image", text=text, done=done, total=total, unit="bytes"))
        yield piece
        done += len(piece)


def _join(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Join small pieces into larger ones; empty pieces pass through."""
    waiting = bytearray()
    for piece in pieces:
        if not piece:
            yield piece
            continue
        waiting += piece
        if len(waiting) >= _PIECE_BYTES:
            yield bytes(waiting)
            waiting.clear()
    yield bytes(waiting)
