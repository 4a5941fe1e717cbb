"""Exit statuses. A command that runs in a VM has its own, passed on as it is."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from banger.core.errors import BangerError

DONE: Final = 0
FAILED: Final = 1
USAGE: Final = 2
NOT_RUNNING: Final = 3
TIMED_OUT: Final = 124
NOT_EXECUTABLE: Final = 126
NOT_IN_GUEST: Final = 127
SIGNALLED: Final = 128
INTERRUPTED: Final = SIGNALLED + 2
BROKEN_PIPE: Final = SIGNALLED + 13

# The hint for errors whose summary says it all.
OUTPUT_HINT: Final = "is there room left where the output goes?"
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


def status_of(error: BangerError) -> int:
    """The exit status for an error: that of its kind, unless its data says otherwise.

    `refused`: nothing was done, whatever the kind. `status`: that of a shell for a program that could not be started,
    and of timeout(1) for one whose time was up.
    """
    status = error.data.get("status")
    if isinstance(status, int) and status in (TIMED_OUT, NOT_EXECUTABLE, NOT_IN_GUEST):
        return status
    return USAGE if error.data.get("refused") is True else OF_KIND[error.kind]


class Hangup(Exception):
    """We stopped before the end, because of a signal or because nobody reads our output. Not an error to explain."""

    def __init__(self, status: int, message: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.message = message
