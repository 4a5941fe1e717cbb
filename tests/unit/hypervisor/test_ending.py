"""What is said of a QEMU process that has ended."""

from __future__ import annotations

import pytest

from banger.hypervisor.qemu.ending import explain_end

PANIC = b"[ 9.1] Kernel panic - not syncing: Attempted to \x1b[31mkill init!\r\n[ 9.1] CPU: 0 PID: 1\r\n"


@pytest.mark.parametrize(
    ("status", "said", "console", "reason"),
    [
        (0, "", b"login: ", "the guest switched itself off or restarted"),
        (0, "", PANIC, r"the guest's kernel panicked: Attempted to \x1b[31mkill init!"),
        (None, "", PANIC, r"the guest's kernel panicked: Attempted to \x1b[31mkill init!"),
        (0, "", b"Kernel panic - not syncing: ", "the guest's kernel panicked: "),
        (-9, "", b"", "QEMU was killed by signal 9 (SIGKILL)"),
        (-9, "", PANIC, "QEMU was killed by signal 9 (SIGKILL)"),
        (-34, "", b"", "QEMU was killed by signal 34 (SIGRTMIN)"),
        (-35, "", b"", "QEMU was killed by signal 35"),
        (1, "no memory", b"", "QEMU ended: no memory"),
        (1, "", b"", "QEMU ended with status 1"),
        (None, "", b"", "it ended, and the daemon that started it was not there to see how"),
    ],
)
def test_a_reason(status: int | None, said: str, console: bytes, reason: str) -> None:
    assert explain_end(killed=False, status=status, said=said, console=console).reason == reason
    assert explain_end(killed=True, status=status, said=said, console=console).reason == "it was ended"
