"""Exit statuses. A command that runs in a VM has its own, passed on as it is."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

DONE: Final = 0
FAILED: Final = 1
USAGE: Final = 2
NOT_RUNNING: Final = 3
SIGNALLED: Final = 128
INTERRUPTED: Final = SIGNALLED + 2
BROKEN_PIPE: Final = SIGNALLED + 13

OF_KIND: Final = {
    "invalid": USAGE,
    "not_found": 3,
    "already_exists": 4,
    "wrong_state": 5,
    "denied": 6,
    "unsupported": 7,
    "unavailable": 8,
    "timed_out": 9,
    "failed": FAILED,
    "internal": 70,
}


class Hangup(Exception):
    """We stopped before the end, because of a signal or because nobody reads our output. Not an error to explain."""

    def __init__(self, status: int, message: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.message = message
