"""The VMM's own messages, in files on the host: bounded, although a guest may make it print for ever.

The VMM writes into a named pipe that it holds open in both directions, so that it neither waits nor is killed while no
daemon reads; what does not fit is lost (fifo(7)). A daemon takes what is there into two files that take turns.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from banger.hypervisor.console import ConsoleRing, older_half

LIMIT_BYTES: Final = 128 << 10
PAUSE_S: Final = 0.1  # a flood is read in portions, and costs the daemon next to nothing
_PORTION_BYTES: Final = 64 << 10


def open_for_vmm(pipe: Path) -> int:
    """Make a new pipe and return the descriptor for the VMM's standard output and error. Raises `OSError`."""
    pipe.unlink(missing_ok=True)
    os.mkfifo(pipe, 0o600)
    return os.open(pipe, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)


def clear_log(log: Path) -> None:
    """Remove what earlier runs printed, and make an empty log. Raises `OSError`."""
    older_half(log).unlink(missing_ok=True)
    log.write_bytes(b"")


class LogDrain:
    """Takes what is in `pipe` into the log until it is closed. Belongs to the running event loop."""

    def __init__(self, pipe: Path, log: Path, *, pause_s: float = PAUSE_S) -> None:
        """Raises `OSError` when there is no pipe."""
        self._loop = asyncio.get_running_loop()
        self._pause_s = pause_s
        self._pausing: asyncio.TimerHandle | None = None
        self._descriptor = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            self._ring = ConsoleRing(log, limit_bytes=LIMIT_BYTES)
        except OSError:
            os.close(self._descriptor)
            raise
        self._listen()

    def close(self) -> None:
        """Take what is still there, and stop. May be called twice."""
        if self._descriptor < 0:
            return
        if self._pausing is not None:
            self._pausing.cancel()
        self._loop.remove_reader(self._descriptor)
        with suppress(BlockingIOError):
            self._take()  # a pipe holds no more than a portion
        os.close(self._descriptor)
        self._descriptor = -1
        self._ring.close()

    def _listen(self) -> None:
        self._pausing = None
        self._loop.add_reader(self._descriptor, self._on_text)

    def _on_text(self) -> None:
        self._loop.remove_reader(self._descriptor)
        with suppress(BlockingIOError):
            if not self._take():
                return  # nobody holds the other end: the VMM is gone
        self._pausing = self._loop.call_later(self._pause_s, self._listen)

    def _take(self) -> bool:
        data = os.read(self._descriptor, _PORTION_BYTES)
        self._ring.append(data)
        return bool(data)
