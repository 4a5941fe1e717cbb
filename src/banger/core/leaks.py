"""Leftovers of banger on this computer: first everything is looked at, then one pure function judges.

Nothing is removed here. Work in progress can look like a leak: the state of a VM, the lock of a maker and
the age of a file tell the difference.
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

from banger.core.builds import find_abandoned_builds, find_builders
from banger.core.census import find_labelled
from banger.core.layout import BUILD_BELOW_DRAFT, BUILDS, Layout
from banger.core.locks import is_locked
from banger.core.vm import State

Kind = Literal[
    "process", "run_directory", "state_directory", "trash", "scratch", "draft", "build", "socket", "partial_file"
]

PATIENCE_S: Final = 900.0  # what an export or a copy may take, and more than any file is written for
_PARTIAL: Final = re.compile(r"\.(?:.+\.[0-9a-f]{8}|.+\.draft)")
_RUNS: Final = frozenset((State.STARTING, State.RUNNING, State.PAUSED, State.STOPPING, State.DELETING))
_MAKER_IS_GONE: Final = "the process that was making it is gone"
_MOVES: Final = frozenset((State.CREATING, State.STARTING, State.STOPPING, State.DELETING))


@dataclass(frozen=True, slots=True)
class Leak:
    """A leftover: its kind, which one it is, and why it is not wanted."""

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
    """Everything that was seen. A process is its pid with the VM id in its label.

    `drafts` and `builds` are directories without a maker, `builders` processes that still work in them, and
    `partial_files` are being written by nobody.
    """

    processes: tuple[tuple[int, str], ...] = ()
    run_directories: tuple[str, ...] = ()
    state_directories: tuple[str, ...] = ()
    trash: tuple[str, ...] = ()
    scratch: tuple[Aged, ...] = ()
    drafts: tuple[str, ...] = ()
    builds: tuple[str, ...] = ()
    builders: tuple[tuple[int, str], ...] = ()
    sockets: tuple[str, ...] = ()
    partial_files: tuple[Aged, ...] = ()


def find_leaks(seen: Sighting, states: Mapping[str, State], *, patience_s: float = PATIENCE_S) -> tuple[Leak, ...]:
    """Judge. `states` are the VMs that have a row. While others work, only what two looks agree on is a leak."""
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
            Leak("state_directory", path, "no VM has this id; its disk may be worth keeping")
            for path in seen.state_directories
            if os.path.basename(path) not in states
        ),
        *(
            Leak("trash", path, "a removal was interrupted")
            for path in seen.trash
            if states.get(os.path.basename(path).partition(".")[0]) not in _MOVES
        ),
        *(Leak("scratch", one.path, "no request uses it any more") for one in seen.scratch if one.age_s >= patience_s),
        *(Leak("draft", path, _MAKER_IS_GONE) for path in seen.drafts),
        *(Leak("build", path, _MAKER_IS_GONE) for path in seen.builds),
        *(
            Leak("process", f"process {pid} that builds in {path}", "the process that began it is gone")
            for pid, path in seen.builders
        ),
        *(Leak("socket", path, "no banger process listens there") for path in seen.sockets),
        *(
            Leak("partial_file", one.path, "it was never finished")
            for one in seen.partial_files
            if one.age_s >= patience_s
        ),
    )


def look_around(layout: Layout, *, now_s: float, builds: Path = BUILDS) -> Sighting:
    """See what is below the directories of one banger, this user's directories in `builds`, and which processes are
    labelled as banger's.
    """
    vms = layout.run / "vms"
    drafts = [
        Path(path)
        for store in (layout.images, layout.kernels)
        for path in _names_in(store / "drafts")
        if not is_locked(Path(path))
    ]
    abandoned = find_abandoned_builds(builds)
    return Sighting(
        processes=tuple((identity.pid, vm_id) for vm_id, identity in find_labelled(vms)),
        run_directories=tuple(_names_in(vms)),
        state_directories=tuple(_names_in(layout.vms)),
        trash=(*_names_in(layout.trash), *_names_in(layout.run / "trash")),
        scratch=tuple(_aged((*_names_in(layout.scratch), *_names_in(layout.applies)), now_s)),
        drafts=tuple(map(str, drafts)),
        builds=tuple(map(str, abandoned)),
        builders=tuple(
            (builder.pid, str(directory))
            for directory in (*(draft / BUILD_BELOW_DRAFT for draft in drafts), *abandoned)
            for builder in find_builders(directory)
        ),
        sockets=tuple(_stray_sockets(layout)),
        partial_files=tuple(_aged(_partial_files(layout), now_s)),
    )


def find_unfinished_files(layout: Layout, *, now_s: float) -> list[Path]:
    """Files that nobody will finish, in directories where every file is banger's."""
    old = (Path(one.path) for one in _aged(_partial_files(layout), now_s) if one.age_s >= PATIENCE_S)
    return [path for path in old if path.parent != layout.config]


def _why(vm_id: str, states: Mapping[str, State]) -> str:
    state = states.get(vm_id)
    return "no VM has this id" if state is None else f"its VM is {state}"


def _names_in(directory: Path) -> Iterator[str]:
    with suppress(OSError):
        yield from sorted(entry.path for entry in os.scandir(directory))


def _aged(paths: Iterable[str], now_s: float) -> Iterator[Aged]:
    for path in paths:
        with suppress(OSError):
            yield Aged(path, now_s - os.lstat(path).st_mtime)


def _stray_sockets(layout: Layout) -> Iterator[str]:
    """Sockets beside the daemon's; those of VMs are reported with their run directories."""
    for path in _names_in(layout.run):
        with suppress(OSError):
            if path != str(layout.daemon_socket) and stat.S_ISSOCK(os.lstat(path).st_mode):
                yield path


def _partial_files(layout: Layout) -> Iterator[str]:
    """What `write_durably` and makers of disks leave when they are killed: hidden files with a random suffix.

    Both lock what they write.
    """
    stores = [store / below for store in (layout.images, layout.kernels) for below in ("names", "sha256")]
    vms = [Path(path) for path in _names_in(layout.vms)]
    roots = (layout.config, layout.state, layout.cache, layout.run, layout.exports)
    for directory in (*roots, layout.templates, layout.bases, *stores, *vms):
        for path in _names_in(directory):
            if _PARTIAL.fullmatch(os.path.basename(path)) and not is_locked(Path(path)):
                yield path
