"""Apply a guest's patch to the work tree of the user's repository: all of it or nothing, whatever happens."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from banger.core.finishing import finish
from banger.core.layout import Layout
from banger.core.scratch import scratch_directory
from banger.core.untrusted import printable
from banger.daemon.context import Request
from banger.daemon.journal import Journal, Step, nothing, write_nothing
from banger.store.records import OpenOperation, VmRecord
from banger.workspace.applying import Prepared, SavedPatch, prepare_patch
from banger.workspace.choice import ANYTHING
from banger.workspace.placing import Placing
from banger.workspace.repository import inspect_repository

log = logging.getLogger(__name__)

_BEGUN: Final = "begun"  # a file that is there as long as the work tree may be changed half

Act = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What is to be applied: to the repository at `source`, and patches that may be there already, the newest first.

    `earlier` are these as far as this is about their files, `applied` the whole of them.
    """

    source: Path
    patch: SavedPatch
    earlier: Sequence[SavedPatch]
    applied: Sequence[SavedPatch]
    allow_dirty: bool
    umask: int


class ApplyPatch:
    """The operation `apply`. Rolls back: a half changed work tree is restored, if need be by a later daemon."""

    kind: Final = "apply"

    def __init__(self, *, layout: Layout, journal: Journal) -> None:
        self._layout = layout
        self._journal = journal
        self._one_at_a_time = asyncio.Lock()

    async def check(self, change: Change) -> Prepared:
        """Find out what `change` would do, without doing it. Raises as `prepare_patch`."""
        async with scratch_directory(self._layout.scratch) as directory:
            return await _prepare(change, directory / "trial")

    async def __call__(self, request: Request, record: VmRecord, change: Change) -> Prepared:
        """Apply. Raises as `prepare_patch`, and `Failed` when the work tree changes meanwhile."""
        operation_id = f"{request.operation}.{self.kind}.{record.id[:8]}"
        directory = self._layout.applies / operation_id
        prepared: Prepared | None = None

        async def prepare() -> None:
            nonlocal prepared
            prepared = await _prepare(change, directory)
            if prepared.placing is not None:
                await finish(asyncio.to_thread(prepared.placing.record))

        async def write() -> None:
            assert prepared is not None
            if prepared.placing is not None:
                (directory / _BEGUN).touch()
                await finish(asyncio.to_thread(prepared.placing.write))

        async with self._one_at_a_time:
            await self._journal.roll_back_on_failure(
                kind=self.kind,
                operation_id=operation_id,
                vm_id=record.id,
                begin=write_nothing,
                steps=self.steps(directory, prepare, write),
                finish=write_nothing,
                undone=write_nothing,
            )
            # While the operation was open, these files were needed to undo it.
            await finish(asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True))
        assert prepared is not None
        return prepared

    async def settle(self, operation: OpenOperation, _record: VmRecord | None) -> None:
        """Undo what a dead daemon began; the VM may be gone."""
        await self._journal.undo_begun(operation, self.steps(self._layout.applies / operation.id, nothing, nothing))

    def steps(self, directory: Path, prepare: Act, write: Act) -> Sequence[Step]:
        """The steps; their undo needs the directory alone."""

        async def take_back() -> None:
            await finish(asyncio.to_thread(restore, directory))

        async def remove() -> None:
            if not (directory / _BEGUN).exists():  # else taking back failed, and will be tried again
                await finish(asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True))

        return (Step("prepare", prepare, remove), Step("write", write, take_back))


async def _prepare(change: Change, directory: Path) -> Prepared:
    return await prepare_patch(
        await inspect_repository(change.source, ANYTHING),
        change.patch,
        earlier=change.earlier,
        applied=change.applied,
        directory=directory,
        allow_dirty=change.allow_dirty,
        umask=change.umask,
    )


def clear_applies(directory: Path, open_operations: Collection[str]) -> None:
    """Remove the files of operations that had ended when a daemon died; blocking."""
    with suppress(FileNotFoundError):
        for entry in directory.iterdir():
            if entry.name not in open_operations:
                shutil.rmtree(entry, ignore_errors=True)


def restore(directory: Path) -> None:
    """Restore a work tree as it was before the change whose files are in `directory`; blocking."""
    placing = Placing.read(directory)
    for path in placing.restore() if placing is not None else ():
        log.warning("%s was changed by somebody else meanwhile, and is left as it is", printable(path))
    (directory / _BEGUN).unlink(missing_ok=True)
