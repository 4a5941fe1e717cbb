"""The host's record of what a guest was sent last, so that later only changes are sent. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from banger.core.errors import BangerError
from banger.core.strict import parse_object, read_dataclass
from banger.workspace.choice import Choice, check_choice
from banger.workspace.index import IndexEntry, Stat, read_index, write_index
from banger.workspace.work_tree import Stamp

KNOWN_LIMIT_BYTES: Final = 1 << 30
_SECOND_NS: Final = 1_000_000_000
_LOW_32_BITS: Final = 0xFFFFFFFF
_OBJECT_FORMATS: Final = ("sha1", "sha256")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Head:
    base: str
    head: str | None
    object_format: str
    shallow: str
    mode: str
    branch: str | None
    start: str | None
    include_untracked: bool
    index_tree: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """`files` are those of `base`, by path; the times and sizes are those that the guest's files were given, or zero.

    `shallow` are the commits where the guest's history ends, `choice` what was asked for, `index_tree` what was staged.
    """

    base: str
    head: str | None
    object_format: str
    shallow: tuple[str, ...]
    files: Mapping[bytes, IndexEntry]
    choice: Choice
    index_tree: str


def as_sent(entry: IndexEntry, stamp: Stamp | None) -> IndexEntry:
    """An entry of `Known.files` for a file that is sent as it was seen with that stamp."""
    if stamp is None:
        return IndexEntry(entry.path, Stat(mode=entry.mode), entry.oid)
    seconds, nanoseconds = divmod(stamp.mtime_ns, _SECOND_NS)
    stat = Stat(mtime_s=seconds & _LOW_32_BITS, mtime_ns=nanoseconds, mode=entry.mode, size=stamp.size & _LOW_32_BITS)
    return IndexEntry(entry.path, stat, entry.oid)


def encode_known(known: Known) -> bytes:
    """A line of JSON, and an index file as git has them."""
    head = {
        "base": known.base,
        "head": known.head,
        "object_format": known.object_format,
        "shallow": " ".join(known.shallow),
        "mode": known.choice.mode,
        "branch": known.choice.branch,
        "start": known.choice.start,
        "include_untracked": known.choice.include_untracked,
        "index_tree": known.index_tree,
    }
    index = write_index(known.files.values(), object_format=known.object_format)
    return json.dumps(head).encode() + b"\n" + index


def decode_known(data: bytes) -> Known | None:
    """Read what `encode_known` wrote; None for anything else."""
    line, _, index = data.partition(b"\n")
    try:
        head = read_dataclass(_Head, parse_object(line))
        if head.object_format not in _OBJECT_FORMATS:
            return None
        choice = Choice(
            mode="full-copy" if head.mode == "full-copy" else "overlay",
            branch=head.branch,
            start=head.start,
            include_untracked=head.include_untracked,
        )
        check_choice(choice)
        entries = read_index(index, object_format=head.object_format)
    except (ValueError, BangerError):
        return None
    return Known(
        base=head.base,
        head=head.head,
        object_format=head.object_format,
        shallow=tuple(head.shallow.split()),
        files=by_path(entries),
        choice=choice,
        index_tree=head.index_tree,
    )


def by_path(entries: Iterable[IndexEntry]) -> dict[bytes, IndexEntry]:
    """The entries by their paths."""
    return {entry.path: entry for entry in entries}
