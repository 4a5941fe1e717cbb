"""Operations as journalled steps: the intent is on disk before the world is touched, and each act has its undo.

An operation either *rolls back* (create, start: whatever goes wrong, everything done is undone) or *rolls forward*
(stop, delete: every step is tried, failures are collected, and a later start of the daemon finishes the rest).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Protocol

from banger.core import finishing
from banger.core.clock import Clock
from banger.core.errors import BangerError
from banger.core.faults import translate_os_error
from banger.daemon.failpoints import Failpoints
from banger.store.connection import Connection, Database
from banger.store.records import OpenOperation, VmRecord, end_operation, insert_operation, put_step, supersede

log = logging.getLogger(__name__)

UNDO_DEADLINE_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Step:
    """One act of an operation and its undo. Both are idempotent, and "already done" is success.

    `name` is unique in its operation; the journal and the failpoints use it. `undo` also works when the
    act was half done or not done at all; steps of operations that roll forward have none.
    """

    name: str
    act: Callable[[], Awaitable[None]]
    undo: Callable[[], Awaitable[None]]


class Operation(Protocol):
    """A kind of journalled operation. A later daemon settles what a dead one began; a test sweeps its steps."""

    @property
    def kind(self) -> str:
        """The name in the journal and in the names of failpoints."""

    async def settle(self, operation: OpenOperation, record: VmRecord, /) -> None:
        """Finish an open operation of this kind, or undo it. `record` is its VM's row as it is now."""


async def nothing() -> None:
    """The undo of a step that needs none."""


def write_nothing(_connection: object) -> None:
    """The row changes of an operation that changes no rows."""


Write = Callable[[Connection], None]
Mark = Callable[[str, int, Step, str], Awaitable[None]]


class Journal:
    """Runs operations and writes down how far they got."""

    def __init__(self, *, database: Database, clock: Clock, failpoints: Failpoints) -> None:
        self._database = database
        self._clock = clock
        self._failpoints = failpoints
        self.under_way: set[str] = set()  # operations in progress in this daemon

    async def roll_back_on_failure(
        self,
        *,
        kind: str,
        operation_id: str,
        vm_id: str,
        begin: Write,
        steps: Sequence[Step],
        finish: Write,
        undone: Write,
        arguments: Mapping[str, str] | None = None,
    ) -> None:
        """Run `steps` in order; on any failure or cancellation undo them in reverse and raise what happened.

        `begin`, `finish` and `undone` write the rows that belong to the same transaction as the operation's own.
        `arguments` is what a later daemon needs, beside the VM's row, to undo the steps. A caller cancelled when
        `finish` is already committed gets the cancellation, but nothing is undone: the journal says that it is done.
        """
        begun: list[Step] = []
        done = False

        async def close() -> None:
            nonlocal done
            await self._close(operation_id, "done", finish)
            done = True

        with self._working_on(operation_id):
            try:
                await shielded(self._open(kind, operation_id, vm_id, begin, arguments))
            except asyncio.CancelledError:
                await shielded(self.undo(operation_id, begun, undone, reason="cancelled"))
                raise
            try:
                for seq, step in enumerate(steps):
                    await self._take(kind, operation_id, seq, step, begun, mark=self._mark)
                await shielded(close())
            except BaseException as error:
                if done:
                    raise
                log.info("%s %s of %s is taken back: %r", operation_id, kind, vm_id, error)
                await shielded(self._take_back(operation_id, begun, undone, reason=describe(error)))
                if isinstance(error, OSError):
                    raise translate_os_error(error) from error
                raise

    async def roll_forward(
        self, *, kind: str, operation_id: str, vm_id: str, begin: Write, steps: Sequence[Step], finish: Write
    ) -> None:
        """Try every step whatever happens to the others; a cancelled caller does not stop it.

        Raises the first failure when all were tried; the operation then stays open and is tried again later.
        """

        async def work() -> None:
            with self._working_on(operation_id):
                await self._open(kind, operation_id, vm_id, begin)
                await self.finish_forward(kind=kind, operation_id=operation_id, steps=steps, finish=finish)

        await shielded(work())

    async def finish_forward(self, *, kind: str, operation_id: str, steps: Sequence[Step], finish: Write) -> None:
        """The part of `roll_forward` that a later daemon repeats for an operation that is already open."""
        failures: list[Exception] = []
        for seq, step in enumerate(steps):
            try:
                await self._take(kind, operation_id, seq, step, [], mark=self._note)
            except Exception as error:  # noqa: BLE001 - whatever it is, the other steps are tried
                log.warning("%s %s: step %s failed: %r", operation_id, kind, step.name, error)
                failures.append(translate_os_error(error) if isinstance(error, OSError) else error)
        if failures:
            raise failures[0]
        await self._close(operation_id, "done", finish)

    async def undo(self, operation_id: str, steps: Sequence[Step], undone: Write, *, reason: str) -> None:
        """Undo `steps` in reverse, all of them, whatever fails. An operation with failures stays open."""
        failed = False
        for step in reversed(steps):
            try:
                async with asyncio.timeout(UNDO_DEADLINE_S):
                    await step.undo()
            except Exception as error:  # noqa: BLE001 - whatever it is, the other steps are undone
                failed = True
                log.error("%s: undoing %s failed: %r", operation_id, step.name, error)
        if not failed:
            await self._close(operation_id, "undone", undone, error=reason)

    async def undo_begun(self, operation: OpenOperation, steps: Sequence[Step], undone: Write = write_nothing) -> None:
        """Take back an operation that a dead daemon left open: `undo` for those of `steps` that it had begun."""
        begun = [step for step in steps if step.name in operation.steps]
        await self.undo(operation.id, begun, undone, reason="the daemon died")

    @contextmanager
    def _working_on(self, operation_id: str) -> Iterator[None]:
        self.under_way.add(operation_id)
        try:
            yield
        finally:
            self.under_way.discard(operation_id)

    async def _take_back(self, operation_id: str, steps: Sequence[Step], undone: Write, *, reason: str) -> None:
        """`undo` without raising its own failure, which would hide the reason; what stays open is settled later."""
        try:
            await self.undo(operation_id, steps, undone, reason=reason)
        except BangerError as error:
            log.error("%s stays open: %s", operation_id, error.summary)

    async def _take(self, kind: str, operation_id: str, seq: int, step: Step, begun: list[Step], *, mark: Mark) -> None:
        """One step with its marks in the journal and its four failpoints."""
        name = f"{kind}.{step.name}"
        await self._failpoints.reach(f"{name}.before_intent")
        begun.append(step)
        await mark(operation_id, seq, step, "intent")
        await self._failpoints.reach(f"{name}.after_intent")
        await step.act()
        await self._failpoints.reach(f"{name}.after_act")
        await mark(operation_id, seq, step, "done")
        await self._failpoints.reach(f"{name}.after_done")

    async def _open(
        self, kind: str, operation_id: str, vm_id: str, begin: Write, arguments: Mapping[str, str] | None = None
    ) -> None:
        def write(connection: Connection) -> None:
            begin(connection)
            insert_operation(
                connection,
                operation_id=operation_id,
                kind=kind,
                vm_id=vm_id,
                started_at_s=self._clock.now_s(),
                arguments=arguments,
            )

        log.info("%s %s of %s begins", operation_id, kind, vm_id)
        await self._database.call(write)

    async def _close(self, operation_id: str, state: str, write_rows: Write, *, error: str = "") -> None:
        under_way = frozenset(self.under_way)  # what begins later is not in the database yet when this is written

        def write(connection: Connection) -> None:
            write_rows(connection)
            supersede(connection, operation_id, under_way=under_way)
            end_operation(connection, operation_id, state=state, ended_at_s=self._clock.now_s(), error=error)

        await self._database.call(write)
        log.info("%s is %s", operation_id, state)

    async def _mark(self, operation_id: str, seq: int, step: Step, state: str) -> None:
        await self._database.call(
            lambda connection: put_step(connection, operation_id, seq=seq, name=step.name, state=state)
        )

    async def _note(self, operation_id: str, seq: int, step: Step, state: str) -> None:
        """`_mark` where nothing depends on it: whoever finishes an operation that rolls forward repeats all its steps.

        A disk that is too full for a note must not keep anybody from deleting what fills it.
        """
        try:
            await self._mark(operation_id, seq, step, state)
        except BangerError as error:
            log.warning("%s: %s of %s is not written down: %s", operation_id, state, step.name, error.summary)


def describe(error: BaseException) -> str:
    """One line for the journal."""
    if isinstance(error, BangerError):
        return error.summary
    return type(error).__name__ + (f": {error}" if str(error) else "")


async def shielded(work: Coroutine[Any, Any, None]) -> None:
    """As `finishing.finish`; a failure while the request is being cancelled is logged."""
    await finishing.finish(work, unheard=_log_unheard)


def _log_unheard(failure: BaseException) -> None:
    log.warning("while a request was being cancelled: %s", describe(failure))
