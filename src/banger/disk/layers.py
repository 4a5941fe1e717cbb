"""The layers of an image, one on top of the other, as one tree: digests, compression, archives and whiteouts.

Nothing in a layer reaches the host but as bytes in the spool. Memory is bounded whatever the layers say: by the limits
of the tree (`disk.tree`), of decompression (`disk.decompression`), and those below.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, Final

from banger.core.errors import Failed, Invalid, Unsupported
from banger.core.layers import Layer
from banger.core.untrusted import printable
from banger.disk.decompression import HINT, ExpansionLimits, LayerReader
from banger.disk.layering import LayerMembers
from banger.disk.tar import TarLimits, TarReader
from banger.disk.tree import METADATA_BYTES_LIMIT, NODE_LIMIT, ROOT, Tree


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerLimits:
    """What an image may ask of us. `archive` and `expansion` are for each layer, the bytes of files for all."""

    layers: int = 512
    nodes: int = NODE_LIMIT
    metadata_bytes: int = METADATA_BYTES_LIMIT
    steps: int = 1 << 24
    archive: TarLimits = field(default_factory=TarLimits)
    expansion: ExpansionLimits = field(default_factory=ExpansionLimits)


_LIMITS: Final = LayerLimits()


def read_layers(
    layers: Sequence[Layer],
    *,
    spool: BinaryIO,
    limits: LayerLimits = _LIMITS,
    report: Callable[[int, int], None] = lambda _done, _total: None,
) -> Tree:
    """Apply `layers`, the lowest first, and return the tree; contents of files are in `spool`, from its position on.

    Blocking, for a thread. `report` is told the compressed bytes read so far and those of all layers; what it raises
    ends the work. Raises `Invalid` and `Unsupported` naming layer and member, `Failed` if a layer cannot be read,
    `Unavailable` if there is no space.
    """
    if not layers:
        raise Invalid("the image has no layers", hint="give an image with a root file system")
    if len(layers) > limits.layers:
        raise Invalid(f"the image has {len(layers)} layers, and there may be {limits.layers}", hint=HINT)
    tree = Tree(spool, node_limit=limits.nodes, metadata_bytes_limit=limits.metadata_bytes)
    whole_bytes = sum(layer.size for layer in layers)
    members = LayerMembers(tree, steps_limit=limits.steps)
    read_bytes, content_bytes = 0, 0
    for number, layer in enumerate(layers, start=1):

        def tell(done_bytes: int, before_bytes: int = read_bytes) -> None:
            report(before_bytes + done_bytes, whole_bytes)

        members.begin()
        try:
            content_bytes = _apply(layer, members, content_bytes, spool=spool, limits=limits, report=tell)
        except (Invalid, Unsupported) as error:
            raise type(error)(f"{_name(layer, number, layers)}: {error.summary}", hint=HINT, **error.data) from error
        except OSError as error:
            raise Failed(f"{_name(layer, number, layers)} cannot be read: {error.strerror}", hint=HINT) from error
        read_bytes += layer.size
        report(read_bytes, whole_bytes)
    if next(tree.entries.children(ROOT), None) is None:
        raise Invalid("the image is empty", hint="give an image with a root file system")
    return tree


def _apply(
    layer: Layer,
    members: LayerMembers,
    before_bytes: int,
    *,
    spool: BinaryIO,
    limits: LayerLimits,
    report: Callable[[int], None],
) -> int:
    """Read one layer to its end; how many bytes the files have of this layer and of those before."""
    with layer.open() as opened:
        blob = LayerReader(
            opened,
            media_type=layer.media_type,
            digest=layer.digest,
            size=layer.size,
            diff_id=layer.diff_id,
            limits=limits.expansion,
        )
        reader = TarReader(
            blob.content,
            members,
            limits=limits.archive,
            spool=spool,
            of_layer=True,
            before_bytes=before_bytes,
            report=lambda _bytes: report(blob.position),
        )
        reader.read()
        blob.finish()
        return reader.total_bytes


def _name(layer: Layer, number: int, layers: Sequence[Layer]) -> str:
    return f"layer {number} of {len(layers)} ({printable(layer.digest, limit=19)})"
