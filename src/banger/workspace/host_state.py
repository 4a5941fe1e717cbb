"""The state of the repository on the host, to compare a workspace with."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from banger.core.errors import BangerError
from banger.core.scratch import scratch_directory
from banger.workspace.borrowed import BorrowedRepository
from banger.workspace.choice import ANYTHING
from banger.workspace.repository import inspect_repository


@dataclass(frozen=True, slots=True)
class HostState:
    """HEAD, branch, and how many tracked files differ from HEAD; None if there is none, or if it is unknown."""

    head: str | None
    branch: str | None
    changes: int | None


async def read_host_state(source: Path, scratch: Path) -> HostState:
    """Read the state. The repository may be gone by now, which is not an error."""
    try:
        repository = await inspect_repository(source, ANYTHING)
        async with scratch_directory(scratch) as directory:
            borrowed = BorrowedRepository(repository, directory)
            await asyncio.to_thread(borrowed.make)
            await borrowed.read_staged()
            changes = len(await borrowed.list_changes())
    except BangerError:
        return HostState(None, None, None)
    return HostState(repository.head, repository.branch, changes)
