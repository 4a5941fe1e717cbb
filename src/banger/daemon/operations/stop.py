"""Stop a VM: ask the guest, wait, then end what is left. Rolls forward: once begun, it is finished by somebody."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from banger.core.errors import BangerError
from banger.core.vm import State, check_move
from banger.daemon.context import Report, Request
from banger.daemon.journal import Journal, Step, nothing
from banger.daemon.operations.switching_off import PATIENCE, switch_off
from banger.daemon.operations.teardown import Teardown
from banger.daemon.supervisor import Supervisor
from banger.store.records import OpenOperation, VmRecord, set_state

log = logging.getLogger(__name__)

KIND = "stop"


class StopVm:
    """The operation `stop`. Rolls forward."""

    kind: Final = KIND

    def __init__(self, *, journal: Journal, teardown: Teardown, supervisor: Supervisor) -> None:
        self._journal = journal
        self._teardown = teardown
        self._supervisor = supervisor

    async def __call__(self, request: Request, record: VmRecord) -> None:
        """Stop a running VM; a stopped one stays stopped. The caller holds the VM's lock."""
        if record.state is State.STOPPED:
            return
        check_move(record.name, record.state, State.STOPPING)
        request.report({"event": "stage", "stage": "stop", "text": f"stopping {record.name}", "state": "begin"})
        await self._journal.roll_forward(
            kind=KIND,
            operation_id=f"{request.operation}.{KIND}.{record.id[:8]}",
            vm_id=record.id,
            begin=lambda connection: set_state(connection, record.id, State.STOPPING),
            steps=self.steps(record, polite=True, report=request.report),
            finish=lambda connection: set_state(connection, record.id, State.STOPPED),
        )
        request.report({"event": "stage", "stage": "stop", "text": f"stopped {record.name}", "state": "end"})

    async def after_end(self, operation: str, record: VmRecord, reason: str) -> None:
        """Clean up after a VMM that ended by itself: the guest powered off, or it crashed, as `reason` says."""
        await self._journal.roll_forward(
            kind=KIND,
            operation_id=operation,
            vm_id=record.id,
            begin=lambda connection: set_state(connection, record.id, State.STOPPING),
            steps=self.steps(record, polite=False),
            finish=lambda connection: set_state(connection, record.id, State.STOPPED, problem=reason),
        )

    async def settle(self, operation: OpenOperation, record: VmRecord) -> None:
        """Finish what a dead daemon began, without asking the guest again."""
        await self._journal.finish_forward(
            kind=KIND,
            operation_id=operation.id,
            steps=self.steps(record, polite=False),
            finish=lambda connection: set_state(connection, record.id, State.STOPPED),
        )

    def steps(self, record: VmRecord, *, polite: bool, report: Report = lambda _event: None) -> Sequence[Step]:
        """The steps. Without `polite` the guest is not asked, as when a later daemon finishes the work."""

        async def ask() -> None:
            if polite:
                await self._ask_guest(record, report)

        return (
            Step("ask", ask, nothing),
            Step("processes", lambda: self._teardown.remove_processes(record.id), nothing),
            Step("run_directory", lambda: self._teardown.remove_run_directory(record.id), nothing),
        )

    async def _ask_guest(self, record: VmRecord, report: Report) -> None:
        """Have the guest write everything to its disk and switch itself off, within the times of `PATIENCE`."""
        live = self._supervisor.find(record.id)
        if live is None:
            return
        if record.state is State.PAUSED:
            with suppress(BangerError):
                await live.machine.resume()  # a guest whose processors stand still writes nothing to its disk
        channel = await self._supervisor.reach(record.id, deadline_s=PATIENCE.answer_s)
        if channel is None:
            _tell_of_force(record, report, "it does not answer")
            return
        self._supervisor.expect_end(record.id)

        def tell(text: str) -> None:
            report({"event": "stage", "stage": "stop", "text": f"{record.name}: {text}", "state": "progress"})

        ended: asyncio.Future[object] = asyncio.ensure_future(live.machine.wait())
        try:
            if (reason := await switch_off(channel, ended, tell=tell)) is not None:
                _tell_of_force(record, report, reason)
        finally:
            ended.cancel()


def _tell_of_force(record: VmRecord, report: Report, reason: str) -> None:
    log.warning("the guest of %s is ended by force: %s", record.name, reason)
    report({"event": "notice", "text": f"{record.name} was switched off by force: {reason}"})
