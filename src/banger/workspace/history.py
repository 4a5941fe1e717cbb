"""How much history is copied. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class History:
    """Commits, newest first, with their parents; `tree` is the tree of the newest."""

    tree: str
    parents: Mapping[str, tuple[str, ...]]


def parse_history(lines: Iterable[str]) -> History | None:
    """Of lines `commit tree parent...`, newest first; None when there are none."""
    rows = [line.split() for line in lines if line.strip()]
    return History(rows[0][1], {row[0]: tuple(row[2:]) for row in rows}) if rows else None


@dataclass(frozen=True, slots=True)
class Cut:
    """The commits that are copied, and those of them that have no parents in the guest."""

    kept: Collection[str] = ()
    ends: tuple[str, ...] = ()


def cut_history(history: History, *, depth: int, limit: int, there: Collection[str] = ()) -> Cut:
    """Keep `depth` generations and about `limit` commits.

    A generation is taken whole or not at all, the first one always. Nothing ends when all of history is kept, or is
    `there` already.
    """
    level = [next(iter(history.parents))]
    kept: dict[str, None] = {}
    for _ in range(depth):
        if kept and len(kept) + len(level) > limit:
            break
        kept.update(dict.fromkeys(level))
        above = (parent for commit in level for parent in history.parents[commit])
        level = [parent for parent in dict.fromkeys(above) if parent not in kept and parent in history.parents]
    ends = (
        commit
        for commit in kept
        if any(parent not in kept and parent not in there for parent in history.parents[commit])
    )
    return Cut(kept.keys(), tuple(ends))
