"""One daemon has the VMs of a state directory, also when the environment of another would have its sockets elsewhere.

A login session has XDG_RUNTIME_DIR, and cron, sudo or a service have not: two such commands agree about the VMs and
not about where to ask for them. The second daemon would take VMs that run for ones that ended.
"""

from __future__ import annotations

import json
import os
import shlex
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from banger.core.errors import WrongState
from banger.core.layout import Layout
from banger.core.locks import try_lock
from banger.core.processes import read_boot_id
from banger.core.strict import parse_object, read_dataclass
from banger.core.untrusted import printable

_LIMIT_BYTES: Final = 8192
_ENDING_DEADLINE_S: Final = 10.0  # of one with the same sockets, which is just ending: its other lock is free already
_ENDING_STEP_S: Final = 0.02


@dataclass(frozen=True, slots=True)
class Holder:
    """The daemon that had the VMs last: its process, where its sockets are, and since which boot."""

    pid: int
    run: str
    boot: str


def lock_state(layout: Layout) -> int:
    """Take the lock on the VMs, and write down who has them. Call it with the lock of the run directory.

    Raises `WrongState` when another daemon has them, or when one had them whose VMs still run with their sockets
    somewhere else.
    """
    descriptor = os.open(layout.state_lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        deadline_s = time.monotonic() + _ENDING_DEADLINE_S
        while not try_lock(descriptor):
            holder = _read(descriptor)
            apart = holder is not None and holder.run != str(layout.run)
            if apart or time.monotonic() >= deadline_s:
                raise _refuse(holder, layout)
            time.sleep(_ENDING_STEP_S)
        ours = Holder(os.getpid(), str(layout.run), read_boot_id())
        before = _read(descriptor)
        if before is not None and before.run != ours.run and before.boot == ours.boot and _has_vms(Path(before.run)):
            raise _refuse(before, layout)
        with suppress(OSError):  # a full disk; the lock is what counts
            os.pwrite(descriptor, json.dumps(asdict(ours)).encode().ljust(_LIMIT_BYTES), 0)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _refuse(holder: Holder | None, layout: Layout) -> WrongState:
    if holder is None:
        hint = "end it first: `pgrep -af banger.daemon` shows it"
        return WrongState(f"another daemon has the VMs in {layout.state}", hint=hint)
    place = printable(holder.run, limit=300)
    if holder.run == str(layout.run):
        return WrongState(
            f"another daemon, pid {holder.pid}, has the VMs, and its socket in {place} was removed",
            hint=f"`kill {holder.pid}` ends it; VMs go on running",
        )
    summary = f"the VMs in {layout.state} belong to a daemon with its socket in {place}"
    return WrongState(summary, hint=_hint(holder.run))


def _hint(run: str) -> str:
    """How a command reaches the daemon of that run directory (see `banger.core.roots`)."""
    parent, name = os.path.split(run)
    if name != "banger" or parent == "/run":
        return "unset XDG_RUNTIME_DIR, as where that one was started"
    return f"set XDG_RUNTIME_DIR={shlex.quote(printable(parent, limit=300))}, as where that one was started"


def _has_vms(run: Path) -> bool:
    try:
        return any((run / "vms").iterdir())
    except OSError:
        return False


def _read(descriptor: int) -> Holder | None:
    try:
        return read_dataclass(Holder, parse_object(os.pread(descriptor, _LIMIT_BYTES, 0)))
    except (OSError, ValueError):
        return None
