"""What has to be sent so that a workspace matches its repository again, and what would be lost. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from banger.workspace.index import IndexEntry

GITLINK: Final = 0o160000


class GuestChange(NamedTuple):
    """A path whose content in the guest differs from the base. `mode` is 0 if it was removed there."""

    path: bytes
    mode: int
    oid: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdatePlan:
    """`send` and `remove` are paths of files, `clear` what has to go, with all below it, to make room.

    `directories` may be empty afterwards, the innermost first. `conflicts` are paths whose content in the guest would
    be lost; where they were to be overwritten there are none.
    """

    send: tuple[bytes, ...]
    remove: tuple[bytes, ...]
    clear: tuple[bytes, ...]
    directories: tuple[bytes, ...]
    conflicts: tuple[bytes, ...]


def plan_update(
    *,
    before: Mapping[bytes, IndexEntry],
    after: Mapping[bytes, IndexEntry],
    sizes: Mapping[bytes, int],
    changes: Iterable[GuestChange],
    overwrite: bool,
) -> UpdatePlan:
    """Compare what the guest was sent (`before`), what the host has now (`after`), and the `changes` in the guest.

    `sizes` are those of the host's files: line ends can change although git sees the same content. What was done in
    the guest in other files than the host changed stays, and so does what is the same on both sides; unless all of it
    is to be overwritten.
    """
    in_guest = {change.path: change for change in changes}
    wanted = {path for path, entry in after.items() if _differs(before.get(path), entry, sizes.get(path))}
    gone = before.keys() - after.keys()
    if overwrite:
        wanted |= {path for path in in_guest if path in after}
        gone |= {path for path, change in in_guest.items() if change.mode and path not in after}
    submodules = {path for path, entry in after.items() if entry.mode == GITLINK}
    wanted -= submodules
    gone = {path for path in gone if path not in before or before[path].mode != GITLINK} - submodules
    send = {path for path in wanted if not _is_there(in_guest.get(path), after[path])}
    remove = {path for path in gone if path not in in_guest or in_guest[path].mode}
    conflicts = () if overwrite else _find_conflicts(send, remove, in_guest)
    # Where a file comes that was not there, or where a directory was, what is there is ignored by git, or told to go.
    directories = set(_directories_of(before))
    clear = {path for path in send if path not in before or path in directories}
    clear |= {path for path in remove if path in in_guest and in_guest[path].mode == GITLINK}
    emptied = set(_directories_of(remove)) - set(_directories_of(after))
    return UpdatePlan(
        send=tuple(sorted(send)),
        remove=tuple(sorted(remove - clear)),
        clear=tuple(sorted(clear)),
        directories=tuple(sorted(emptied, reverse=True)),
        conflicts=tuple(sorted(conflicts)),
    )


def _find_conflicts(
    send: Collection[bytes], remove: Collection[bytes], in_guest: Mapping[bytes, GuestChange]
) -> set[bytes]:
    """Paths in the guest that a file would replace, that would go, or that are in the way of a file or below one."""
    touched = {*send, *remove}
    above = set(_directories_of(send))
    here = (path for path, change in in_guest.items() if path in touched or (change.mode and path in above))
    below = (path for path, change in in_guest.items() if change.mode and any(up in send for up in _above(path)))
    return {*here, *below}


def _differs(before: IndexEntry | None, after: IndexEntry, size: int | None) -> bool:
    if before is None or (before.mode, before.oid) != (after.mode, after.oid):
        return True
    return before.stat.mtime_s != 0 and size is not None and before.stat.size != size & 0xFFFFFFFF


def _is_there(change: GuestChange | None, entry: IndexEntry) -> bool:
    return change is not None and (change.mode, change.oid) == (entry.mode, entry.oid)


def _directories_of(paths: Iterable[bytes]) -> Iterator[bytes]:
    seen: set[bytes] = set()
    for path in paths:
        for above in _above(path):
            if above in seen:
                break
            seen.add(above)
            yield above


def _above(path: bytes) -> Iterator[bytes]:
    above = path.rpartition(b"/")[0]
    while above:
        yield above
        above = above.rpartition(b"/")[0]
