"""Packing a repository while its VM boots."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from types import TracebackType

from banger.core.files import make_private_directory
from banger.workspace.packing import PackedWorkspace, prepare
from banger.workspace.repository import Repository


class Packing:
    """A repository being packed, in a directory below `scratch`. Leaving the block ends the work and removes its files.

    The next daemon removes what a dead one leaves below `scratch`.
    """

    def __init__(self, scratch: Path, repository: Repository | None) -> None:
        self._directory = scratch
        self._repository = repository
        self._scratch: tempfile.TemporaryDirectory[str] | None = None
        self._task: asyncio.Task[PackedWorkspace] | None = None

    async def __aenter__(self) -> Packing:
        if self._repository is not None:
            make_private_directory(self._directory)
            self._scratch = tempfile.TemporaryDirectory(dir=self._directory, ignore_cleanup_errors=True)
            self._task = asyncio.create_task(prepare(self._repository, Path(self._scratch.name)))
        return self

    async def packed(self) -> PackedWorkspace:
        """Wait for the result. Raises what packing raised."""
        assert self._task is not None
        return await self._task

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))
            if not self._task.cancelled():
                self._task.exception()
        if self._scratch is not None:
            await asyncio.to_thread(self._scratch.cleanup)
