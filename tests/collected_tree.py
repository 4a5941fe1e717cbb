"""A tree stream read back into memory, as the agent would take it: parents first, nothing twice, links to earlier files."""

from __future__ import annotations

from collections.abc import AsyncIterable
from dataclasses import dataclass, field

from banger.guest.tree_stream import TreeDecoder, TreeRecord


@dataclass(slots=True)
class CollectedEntry:
    record: TreeRecord
    content: bytearray = field(default_factory=bytearray)


async def collect_tree(pieces: AsyncIterable[bytes]) -> dict[bytes, CollectedEntry]:
    """The entries by path, in the order in which they came. Raises `MalformedTree`."""
    decoder = TreeDecoder()
    entries: dict[bytes, CollectedEntry] = {}
    last: CollectedEntry | None = None
    async for piece in pieces:
        for event in decoder.feed(piece):
            if isinstance(event, TreeRecord):
                _check_order(event, entries)
                last = entries[event.path] = CollectedEntry(event)
            elif last is not None:
                last.content += event
    decoder.finish()
    return entries


def _check_order(record: TreeRecord, entries: dict[bytes, CollectedEntry]) -> None:
    parent = record.path.rpartition(b"/")[0]
    assert not parent or entries[parent].record.kind == "d"
    assert record.path not in entries
    assert record.kind != "h" or entries[record.target].record.kind in ("f", "h")
