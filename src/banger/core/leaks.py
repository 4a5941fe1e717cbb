"""What is ours on this computer and not wanted any more: first everything is looked at, then one pure function judges.

Nothing is removed here. What is under way looks like a leak for a moment: the state of a VM, the lock of a maker and
the age of a file tell it apart.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from banger.core.census import find_labelled
from banger.core.content_store import is_locked
from banger.core.layout import Layout
from banger.core.vm import State

Kind = Literal["process", "run_directory", "state_directory", "trash", "scratch", "draft", "socket", "partial_file"]

PATIENCE_S: Final = 900.0  # what an export or a copy may take, and more than any file is written for
_PARTIAL: Final = re.compile(r"\.(?:.+\.[0-9a-f]{8}|.+\.draft)")
_RUNS: Final = frozenset((State.STARTING, State.RUNNING, State.PAUSED, State.STOPPING, State.DELETING))
_MOVES: Final = frozenset((State.CREATING, State.STARTING, State.STOPPING, State.DELETING))


@dataclass(frozen=True, slots=True)
class Leak:
    """Something that is left: what kind of thing, which one, and why it is not wanted."""

    kind: Kind
    what: str
    why: str


@dataclass(frozen=True, slots=True)
class Aged:
    """A file or directory, and how many seconds ago it was changed."""

    path: str
    age_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """Everything that was seen. Processes are pids with the id of the VM on their label; `drafts` have no maker."""

    processes: tuple[tuple[int, str], ...] = ()
    run_directories: tuple[str, ...] = ()
    state_directories: tuple[str, ...] = ()
    trash: tuple[str, ...] = ()
    scratch: tuple[Aged, ...] = ()
    drafts: tuple[str, ...] = ()
    sockets: tuple[str, ...] = ()
    partial_files: tuple[Aged, ...] = ()


def find_leaks(seen: Sighting, states: Mapping[str, State], *, patience_s: float = PATIENCE_S) -> tuple[Leak, ...]:
    """Judge. `states` are the VMs that have a row; whoever looks while others work takes what two looks agree on."""
    return (
        *(
            Leak("process", f"process {pid} of the VM {vm_id}", _why(vm_id, states))
            for pid, vm_id in seen.processes
            if states.get(vm_id) not in _RUNS
        ),
        *(
            Leak("run_directory", path, _why(os.path.basename(path), states))
            for path in seen.run_directories
            if states.get(os.path.basename(path)) not in _RUNS
        ),
        *(
            Leak("state_directory", path, "no VM of this id is known; its disk may be worth keeping")
            for path in seen.state_directories
            if os.path.basename(path) not in states
        ),
        *(
            Leak("trash", path, "a removal was interrupted")
            for path in seen.trash
            if states.get(os.path.basename(path).partition(".")[0]) not in _MOVES
        ),
        *(
            Leak("scratch", one.path, "no request works in it any more")
            for one in seen.scratch
            if one.age_s >= patience_s
        ),
        *(Leak("draft", path, "whoever was making it is gone") for path in seen.drafts),
        *(Leak("socket", path, "nothing of ours listens there") for path in seen.sockets),
        *(
            Leak("partial_file", one.path, "it was never finished")
            for one in seen.partial_files
            if one.age_s >= patience_s
        ),
    )


def look_around(layout: Layout, *, now_s: float) -> Sighting:
    """See what there is below the directories of one banger, and which processes are labelled as its own."""
    vms = layout.run / "vms"
    return Sighting(
        processes=tuple((identity.pid, vm_id) for vm_id, identity in find_labelled(vms)),
        run_directories=tuple(_names_in(vms)),
        state_directories=tuple(_names_in(layout.vms)),
        trash=(*_names_in(layout.trash), *_names_in(layout.run / "trash")),
        scratch=tuple(_aged(_names_in(layout.scratch), now_s)),
        drafts=tuple(
            path
            for store in (layout.images, layout.kernels)
            for path in _names_in(store / "drafts")
            if not is_locked(Path(path))
        ),
        sockets=tuple(_stray_sockets(layout)),
        partial_files=tuple(_aged(_partial_files(layout), now_s)),
    )


def _why(vm_id: str, states: Mapping[str, State]) -> str:
    state = states.get(vm_id)
    return "no VM of this id is known" if state is None else f"its VM is {state}"


def _names_in(directory: Path) -> Iterator[str]:
    with suppress(OSError):
        yield from sorted(entry.path for entry in os.scandir(directory))


def _aged(paths: Iterable[str], now_s: float) -> Iterator[Aged]:
    for path in paths:
        with suppress(OSError):
            yield Aged(path, now_s - os.lstat(path).st_mtime)


def _stray_sockets(layout: Layout) -> Iterator[str]:
    """Sockets beside the daemon's; those of VMs are told about with their run directories."""
    for path in _names_in(layout.run):
        with suppress(OSError):
            if path != str(layout.daemon_socket) and stat.S_ISSOCK(os.lstat(path).st_mode):
                yield path


def _partial_files(layout: Layout) -> Iterator[str]:
    """What `write_durably` and makers of disks leave when they are killed: hidden, with a suffix of their own."""
    stores = [store / below for store in (layout.images, layout.kernels) for below in ("names", "sha256")]
    vms = [Path(path) for path in _names_in(layout.vms)]
    for directory in (layout.config, layout.state, layout.cache, layout.run, layout.templates, *stores, *vms):
        yield from (path for path in _names_in(directory) if _PARTIAL.fullmatch(os.path.basename(path)))
