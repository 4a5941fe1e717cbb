"""The layers of an image as one tree: digests, compression, archives and whiteouts.

What is in a layer reaches the host only as bytes in nameless files. Memory is bounded whatever the layers say: by
the limits of the tree (`disk.tree`), of decompression (`disk.decompression`), and those below.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, Final, cast

from banger.core.errors import Failed, Invalid, Unsupported
from banger.core.layers import Layer
from banger.core.untrusted import printable
from banger.disk.archives import Archives
from banger.disk.decompression import HINT, ExpansionLimits
from banger.disk.layering import LayerMembers
from banger.disk.tar import TarLimits, TarReader
from banger.disk.tree import METADATA_BYTES_LIMIT, NODE_LIMIT, ROOT, Tree
from banger.disk.unpacking import Archive, Shelf, Unpacking


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerLimits:
    """The limits of an image. `archive` and `expansion` apply to each layer, the bytes of files to all together."""

    layers: int = 512
    nodes: int = NODE_LIMIT
    metadata_bytes: int = METADATA_BYTES_LIMIT
    steps: int = 1 << 24
    archive: TarLimits = field(default_factory=TarLimits)
    expansion: ExpansionLimits = field(default_factory=ExpansionLimits)


class _EmptyShelf:
    def find(self, _diff_id: str) -> BinaryIO | None:
        return None

    def keep(self, _diff_id: str, _archive: BinaryIO) -> None:
        pass


_LIMITS: Final = LayerLimits()
EMPTY_SHELF: Final[Shelf] = _EmptyShelf()


def read_layers(
    layers: Sequence[Layer],
    *,
    open_spool: Callable[[], BinaryIO],
    shelf: Shelf = EMPTY_SHELF,
    limits: LayerLimits = _LIMITS,
    report: Callable[[int, int], None] = lambda _done, _total: None,
) -> Tree:
    """Apply `layers`, the lowest first; a tree. Contents of files are in its source, which the caller closes.

    `open_spool` gives empty files without names, unbuffered. Blocking, for a thread. `report` is told the compressed
    bytes read so far and those of all layers; what it raises ends the work. Raises `Invalid` and `Unsupported` naming
    layer and member, `Failed` if a layer cannot be read, `Unavailable` if there is no space.
    """
    if not layers:
        raise Invalid("the image has no layers", hint="give an image with a root file system")
    if len(layers) > limits.layers:
        raise Invalid(f"the image has {len(layers)} layers, and there may be {limits.layers}", hint=HINT)
    whole_bytes = sum(layer.size for layer in layers)
    unpacking = Unpacking(
        layers,
        open_spool=open_spool,
        shelf=shelf,
        limits=limits.expansion,
        report=lambda done_bytes: report(done_bytes, whole_bytes),
    )
    archives = Archives()
    try:
        tree = Tree(cast("BinaryIO", archives), node_limit=limits.nodes, metadata_bytes_limit=limits.metadata_bytes)
        members = LayerMembers(tree, steps_limit=limits.steps)
        with unpacking.archives() as unpacked:
            _apply(layers, unpacked, members, archives=archives, limits=limits, beat=unpacking.tell)
        if next(tree.entries.children(ROOT), None) is None:
            raise Invalid("the image is empty", hint="give an image with a root file system")
        unpacking.keep()
        report(whole_bytes, whole_bytes)
    except BaseException:
        archives.close()
        raise
    return tree


def _apply(
    layers: Sequence[Layer],
    unpacked: Iterator[Archive],
    members: LayerMembers,
    *,
    archives: Archives,
    limits: LayerLimits,
    beat: Callable[[], None],
) -> None:
    """Read the archives one after the other, each to its end. `beat` is called now and then; what it raises ends it."""
    content_bytes = 0
    for number, layer in enumerate(layers, start=1):
        members.begin()
        try:
            archive = next(unpacked)
            base = archives.add(archive.file)
            with archive.open() as source:
                reader = TarReader(
                    source,
                    members,
                    limits=limits.archive,
                    spool=None,
                    bodies=(cast("BinaryIO", archives), base),
                    of_layer=True,
                    before_bytes=content_bytes,
                    report=lambda _bytes: beat(),
                )
                reader.read()
            content_bytes = reader.total_bytes
        except (Invalid, Unsupported) as error:
            raise type(error)(f"{_name(layer, number, layers)}: {error.summary}", hint=HINT, **error.data) from error
        except OSError as error:
            raise Failed(f"{_name(layer, number, layers)} cannot be read: {error.strerror}", hint=HINT) from error


def _name(layer: Layer, number: int, layers: Sequence[Layer]) -> str:
    return f"layer {number} of {len(layers)} ({printable(layer.digest, limit=19)})"
