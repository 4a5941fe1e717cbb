"""Stop a VM's processors, and let them go on. Its memory stays where it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from banger.core.errors import WrongState
from banger.core.vm import State, check_move
from banger.daemon.context import Request
from banger.daemon.journal import Journal, Step, nothing
from banger.daemon.supervisor import Live, Supervisor
from banger.store.records import OpenOperation, VmRecord, set_state

REACH_DEADLINE_S: Final = 5.0  # a daemon that adopted a paused VM has no channel to its guest yet


class PauseVm:
    """The operation `pause`. Rolls back: a VM that could not be paused runs."""

    kind: Final = "pause"

    def __init__(self, *, journal: Journal, supervisor: Supervisor) -> None:
        self._journal = journal
        self._supervisor = supervisor

    async def __call__(self, request: Request, record: VmRecord) -> None:
        """Pause a running VM; a paused one stays so. The caller holds the VM's lock. Raises `WrongState`."""
        if record.state is State.PAUSED:
            return
        check_move(record.name, record.state, State.PAUSED)
        await self._journal.roll_back_on_failure(
            kind=self.kind,
            operation_id=f"{request.operation}.{self.kind}.{record.id[:8]}",
            vm_id=record.id,
            begin=lambda _connection: None,
            steps=self.steps(record),
            finish=lambda connection: set_state(connection, record.id, State.PAUSED),
            undone=lambda connection: set_state(connection, record.id, State.RUNNING),
        )

    async def settle(self, operation: OpenOperation, record: VmRecord) -> None:
        """Take it back; a VM that is adopted afterwards gets the state that its VMM tells."""
        await self._journal.undo(
            operation.id,
            [step for step in self.steps(record) if step.name in operation.steps],
            lambda connection: set_state(connection, record.id, State.RUNNING),
            reason="the daemon died",
        )

    def steps(self, record: VmRecord) -> Sequence[Step]:
        async def pause() -> None:
            await _live(self._supervisor, record).machine.pause()

        async def resume() -> None:
            live = self._supervisor.find(record.id)
            if live is not None:
                await live.machine.resume()

        return (Step("processors", pause, resume),)


class ResumeVm:
    """The operation `resume`. Rolls back: a VM that could not be resumed is paused."""

    kind: Final = "resume"

    def __init__(self, *, journal: Journal, supervisor: Supervisor) -> None:
        self._journal = journal
        self._supervisor = supervisor

    async def __call__(self, request: Request, record: VmRecord) -> None:
        """Let a paused VM go on; a running one does. The caller holds the VM's lock. Raises `WrongState`."""
        if record.state is State.RUNNING:
            return
        if record.state is not State.PAUSED:
            raise WrongState(
                f"the VM {record.name} is {record.state}, not paused",
                hint=f"`banger vm start {record.name}` starts a stopped one",
            )
        await self._journal.roll_back_on_failure(
            kind=self.kind,
            operation_id=f"{request.operation}.{self.kind}.{record.id[:8]}",
            vm_id=record.id,
            begin=lambda _connection: None,
            steps=self.steps(record),
            finish=lambda connection: set_state(connection, record.id, State.RUNNING),
            undone=lambda connection: set_state(connection, record.id, State.PAUSED),
        )

    async def settle(self, operation: OpenOperation, record: VmRecord) -> None:
        """Take it back; a VM that is adopted afterwards gets the state that its VMM tells."""
        await self._journal.undo(
            operation.id,
            [step for step in self.steps(record) if step.name in operation.steps],
            lambda connection: set_state(connection, record.id, State.PAUSED),
            reason="the daemon died",
        )

    def steps(self, record: VmRecord) -> Sequence[Step]:
        async def resume() -> None:
            await _live(self._supervisor, record).machine.resume()
            await self._supervisor.reach_again(record.id, deadline_s=REACH_DEADLINE_S)

        return (Step("processors", resume, nothing),)


def _live(supervisor: Supervisor, record: VmRecord) -> Live:
    live = supervisor.find(record.id)
    if live is None:
        raise WrongState(f"the VM {record.name} does not run", hint=f"start it with `banger vm start {record.name}`")
    return live
