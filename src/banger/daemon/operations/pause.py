"""Pausing and resuming a VM's processors. Its memory stays where it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final

from banger.core.errors import WrongState
from banger.core.vm import State
from banger.daemon.context import Request
from banger.daemon.journal import Journal, Step, write_nothing
from banger.daemon.supervisor import Live, Supervisor
from banger.store.records import OpenOperation, VmRecord, set_state

REACH_DEADLINE_S: Final = 5.0  # a daemon that adopted a paused VM has no channel to its guest yet


class _SwitchProcessors:
    """An operation of one step, from one of two states to the other. Rolls back."""

    kind: ClassVar[str]
    before: ClassVar[State]
    after: ClassVar[State]
    hint: ClassVar[str]

    def __init__(self, *, journal: Journal, supervisor: Supervisor) -> None:
        self._journal = journal
        self._supervisor = supervisor

    async def __call__(self, request: Request, record: VmRecord) -> None:
        """Switch, unless the VM is in the wanted state already. The caller holds its lock. Raises `WrongState`."""
        if record.state is self.after:
            return
        if record.state is not self.before:
            raise WrongState(
                f"the VM {record.name} is {record.state}, not {self.before}", hint=self.hint.format(name=record.name)
            )
        await self._journal.roll_back_on_failure(
            kind=self.kind,
            operation_id=f"{request.operation}.{self.kind}.{record.id[:8]}",
            vm_id=record.id,
            begin=write_nothing,
            steps=self.steps(record),
            finish=lambda connection: set_state(connection, record.id, self.after),
            undone=lambda connection: set_state(connection, record.id, self.before),
        )

    async def settle(self, operation: OpenOperation, record: VmRecord) -> None:
        """Undo it; a VM that is adopted afterwards gets the state that its VMM reports."""
        await self._journal.undo_begun(
            operation, self.steps(record), lambda connection: set_state(connection, record.id, self.before)
        )

    def steps(self, record: VmRecord) -> Sequence[Step]:
        """The one step; its undo does nothing for a VM that no longer runs."""

        async def switch() -> None:
            live = self._supervisor.find(record.id)
            if live is None:
                raise WrongState(
                    f"the VM {record.name} does not run", hint=f"start it with `banger vm start {record.name}`"
                )
            await _set_processors(live, self.after)
            if self.after is State.RUNNING:
                await self._supervisor.reach_again(record.id, deadline_s=REACH_DEADLINE_S)

        async def switch_back() -> None:
            live = self._supervisor.find(record.id)
            if live is not None:
                await _set_processors(live, self.before)

        return (Step("processors", switch, switch_back),)


class PauseVm(_SwitchProcessors):
    """The operation `pause`. If it fails, the VM runs on."""

    kind = "pause"
    before = State.RUNNING
    after = State.PAUSED
    hint = "only a running VM can be paused; `banger vm show {name}` shows the details"


class ResumeVm(_SwitchProcessors):
    """The operation `resume`. If it fails, the VM stays paused."""

    kind = "resume"
    before = State.PAUSED
    after = State.RUNNING
    hint = "`banger vm start {name}` starts a stopped one"


async def _set_processors(live: Live, state: State) -> None:
    if state is State.PAUSED:
        await live.machine.pause()
    else:
        await live.machine.resume()
