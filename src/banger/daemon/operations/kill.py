"""End a VM without asking its guest. Rolls forward: once begun, it is finished by somebody."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from banger.core.errors import Invalid
from banger.core.vm import State, check_move
from banger.daemon.context import Request
from banger.daemon.journal import Journal, Step, nothing
from banger.daemon.operations.teardown import Teardown
from banger.daemon.supervisor import Supervisor
from banger.store.records import OpenOperation, VmRecord, set_state

log = logging.getLogger(__name__)

# Signals that end a VMM. None of them reaches the guest.
SIGNALS: Final[Mapping[str, signal.Signals]] = MappingProxyType(
    {name: signal.Signals[f"SIG{name}"] for name in ("KILL", "TERM", "INT", "HUP", "QUIT")}
)
GRACE_S: Final = 10.0


def parse_signal(text: str) -> signal.Signals:
    """`KILL`, `sigterm`, `15`. Raises `Invalid` for a signal that is not for VMMs."""
    word = text.upper().removeprefix("SIG")
    for name, number in SIGNALS.items():
        if word in (name, str(int(number))):
            return number
    raise Invalid(f"{ascii(text)} is not a signal for a VM", hint="use one of " + ", ".join(SIGNALS))


class KillVm:
    """The operation `kill`."""

    kind: Final = "kill"

    def __init__(self, *, journal: Journal, teardown: Teardown, supervisor: Supervisor) -> None:
        self._journal = journal
        self._teardown = teardown
        self._supervisor = supervisor

    async def __call__(self, request: Request, record: VmRecord, number: signal.Signals) -> None:
        """Send `number` to the VMM and, 10 s later, SIGKILL. The caller holds the VM's lock."""
        if record.state is State.STOPPED:
            return
        check_move(record.name, record.state, State.STOPPING)
        await self._journal.roll_forward(
            kind=self.kind,
            operation_id=f"{request.operation}.{self.kind}.{record.id[:8]}",
            vm_id=record.id,
            begin=lambda connection: set_state(connection, record.id, State.STOPPING),
            steps=self.steps(record, number),
            finish=lambda connection: set_state(connection, record.id, State.STOPPED),
        )

    async def settle(self, operation: OpenOperation, record: VmRecord) -> None:
        """Finish what a dead daemon began."""
        await self._journal.finish_forward(
            kind=self.kind,
            operation_id=operation.id,
            steps=self.steps(record, signal.SIGKILL),
            finish=lambda connection: set_state(connection, record.id, State.STOPPED),
        )

    def steps(self, record: VmRecord, number: signal.Signals) -> Sequence[Step]:
        async def send() -> None:
            live = self._supervisor.find(record.id)
            if live is None or number is signal.SIGKILL:
                return  # the next step does that
            self._supervisor.expect_end(record.id)
            live.machine.signal(number)
            try:
                async with asyncio.timeout(GRACE_S):
                    await live.machine.wait()
            except TimeoutError:
                log.warning("the VMM of %s did not end at %s", record.name, number.name)

        return (
            Step("signal", send, nothing),
            Step("processes", lambda: self._teardown.remove_processes(record.id), nothing),
            Step("run_directory", lambda: self._teardown.remove_run_directory(record.id), nothing),
        )
