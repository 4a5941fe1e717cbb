"""Signals as something to wait for, and what they mean while a command runs in a guest."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from types import FrameType
from typing import Any, Final, Literal

FORWARDED: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
WATCHED: Final = (*FORWARDED, signal.SIGWINCH, signal.SIGCONT)
AGAIN_S: Final = 2.0


class SignalPolicy:
    """Before the command runs a signal ends the request. Then it goes to the command, and ends the request when it
    comes again within two seconds. A hang-up of the terminal that the command uses leaves nothing to go on for."""

    def __init__(self, *, pty: bool) -> None:
        self._pty = pty
        self._last_s: dict[int, float] = {}

    def decide(self, number: int, *, running: bool, now_s: float) -> Literal["forward", "hang_up"]:
        """What to do about a signal of `FORWARDED`."""
        last_s = self._last_s.get(number)
        self._last_s[number] = now_s
        if not running or (self._pty and number == signal.SIGHUP):
            return "hang_up"
        return "hang_up" if last_s is not None and now_s - last_s <= AGAIN_S else "forward"


class SignalWatch:
    """While inside, these signals do nothing by themselves: their numbers can be read. Ignored ones stay ignored."""

    def __init__(self, numbers: Iterable[int] = WATCHED) -> None:
        self._numbers = tuple(numbers)
        self._previous: dict[int, Any] = {}
        self._reader = self._writer = self._wakeup = -1

    def __enter__(self) -> SignalWatch:
        self._reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._wakeup = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for number in self._numbers:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._previous[number] = signal.signal(number, _note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup)
        os.close(self._reader)
        os.close(self._writer)

    def fileno(self) -> int:
        return self._reader

    def read(self) -> list[int]:
        """The signals that came, oldest first."""
        try:
            received = os.read(self._reader, 4096)
        except BlockingIOError:
            return []
        return [number for number in received if number in self._previous]


def _note(_number: int, _frame: FrameType | None) -> None:
    """The wake-up descriptor has the number already."""
