"""The local terminal: its size, and raw mode with the way back."""

from __future__ import annotations

import os
import termios
import tty
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from banger.api.messages import PtySize

_DEFAULT_ROWS: Final = 24
_DEFAULT_COLUMNS: Final = 80
_LIMIT: Final = 10_000


def terminal_size() -> PtySize:
    """The size of the terminal on standard output, input or error; 24 by 80 when none of them is one."""
    for descriptor in (1, 0, 2):
        with suppress(OSError):
            size = os.get_terminal_size(descriptor)
            if size.lines > 0 and size.columns > 0:
                return {"rows": min(size.lines, _LIMIT), "columns": min(size.columns, _LIMIT)}
    return {"rows": _DEFAULT_ROWS, "columns": _DEFAULT_COLUMNS}


class RawTerminal:
    """Every key goes to the guest while we are inside. The terminal is as before afterwards, whatever happens.

    Input that was typed ahead is kept: modes change with `TCSADRAIN`, not `TCSAFLUSH`.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._before: list[Any] | None = None

    def __enter__(self) -> RawTerminal:
        self.enter()
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()

    def enter(self) -> None:
        """Go raw; again after we were stopped and somebody else used the terminal.

        A terminal that is gone stays as it is: the end of its input, and a signal, tell of that.
        """
        with suppress(termios.error):
            if self._before is None:
                self._before = termios.tcgetattr(self._descriptor)
            tty.setraw(self._descriptor, termios.TCSADRAIN)

    def leave(self) -> None:
        """Put back what was."""
        if self._before is not None:
            with suppress(termios.error):  # the terminal itself may be gone
                termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._before)
            self._before = None
