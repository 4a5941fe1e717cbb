"""Why a QEMU process has ended, from what is known about its end. Pure, and never a guess."""

from __future__ import annotations

import signal

from banger.core.untrusted import printable
from banger.hypervisor.contract import MachineEnd

_PANIC = b"Kernel panic - not syncing: "


def explain_end(*, killed: bool, status: int | None, said: str, console: bytes) -> MachineEnd:
    """The reason.

    `killed`: by us; `status`: of a child, as in `subprocess`, None if another process was its parent. `said` is
    the last line of the VMM's own, `console` what the guest printed last since the VMM was started.
    """
    if killed:
        return MachineEnd("it was ended", failed=False)
    failure = _find_failure(status, said, console)
    return MachineEnd(failure or "the guest switched itself off or restarted", failed=bool(failure))


def _find_failure(status: int | None, said: str, console: bytes) -> str:
    if status is not None and status < 0:
        return f"QEMU was killed by {_name_signal(-status)}"
    _, panic, reason = console.rpartition(_PANIC)
    if panic:
        line = reason.partition(b"\n")[0].rstrip()
        return f"the guest's kernel panicked: {printable(line, limit=100)}"
    if said:
        return f"QEMU ended: {said}"
    if status is None:
        return "it ended, and the daemon that started it was not there to see how"
    return f"QEMU ended with status {status}" if status else ""


def _name_signal(number: int) -> str:
    try:
        return f"signal {number} ({signal.Signals(number).name})"
    except ValueError:
        return f"signal {number}"
