"""The state of the repository on the host, to compare a workspace with."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import dataclass
from pathlib import Path

from banger.core.errors import BangerError
from banger.core.files import make_private_directory
from banger.core.threads import left_in_thread
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
        make_private_directory(scratch)
        temporary = tempfile.TemporaryDirectory(dir=scratch, ignore_cleanup_errors=True)
        async with left_in_thread(temporary) as directory:
            borrowed = BorrowedRepository(repository, Path(directory))
            await asyncio.to_thread(borrowed.make)
            await borrowed.read_staged()
            changes = len(await borrowed.list_changes())
    except BangerError:
        return HostState(None, None, None)
    return HostState(repository.head, repository.branch, changes)
