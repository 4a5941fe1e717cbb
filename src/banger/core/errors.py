"""The whole error tree.

Every error a user can meet is a `BangerError`: one sentence, a hint, data fields. Its `kind` comes from a closed
list, crosses the socket between daemon and command line, and decides the exit status. Classes do not cross.

    BangerError
    ├── Invalid         the request can never work as written            exit 2
    ├── NotFound        the thing named does not exist                   exit 3
    ├── AlreadyExists   the name is taken                                exit 4
    ├── WrongState      right thing, wrong moment                        exit 5
    ├── Denied          policy or permissions forbid it                  exit 6
    ├── Unsupported     this host, image or guest cannot do it           exit 7
    ├── Unavailable     something needed is not there (now)              exit 8
    ├── TimedOut        a deadline passed                                exit 9
    ├── Failed          it was tried and went wrong                      exit 1
    └── Internal        our own fault                                    exit 70
"""

from __future__ import annotations

from typing import ClassVar, Final

ErrorData = str | int | float | bool | None


class BangerError(Exception):
    """Root of the tree. `summary` is one sentence without a final full stop; `hint` says what to do next."""

    kind: ClassVar[str] = "failed"

    def __init__(self, summary: str, *, hint: str = "", **data: ErrorData) -> None:
        super().__init__(summary)
        self.summary = summary
        self.hint = hint
        self.data = data


class Invalid(BangerError):
    """The request can never work as written. Raised before anything exists."""

    kind = "invalid"


class NotFound(BangerError):
    """The thing named does not exist."""

    kind = "not_found"


class AlreadyExists(BangerError):
    """The name is taken."""

    kind = "already_exists"


class WrongState(BangerError):
    """Right thing, wrong moment: a stopped VM was asked to run a command, for example."""

    kind = "wrong_state"


class Denied(BangerError):
    """Policy or permissions forbid it."""

    kind = "denied"


class Unsupported(BangerError):
    """This host, image or guest cannot do it."""

    kind = "unsupported"


class Unavailable(BangerError):
    """Something that is needed is not there now: a program, disk space, the daemon."""

    kind = "unavailable"


class TimedOut(BangerError):
    """A deadline passed."""

    kind = "timed_out"


class Failed(BangerError):
    """It was tried and went wrong."""

    kind = "failed"


class Internal(BangerError):
    """A defect of banger itself."""

    kind = "internal"


_BY_KIND: Final = {
    error.kind: error
    for error in (
        Invalid,
        NotFound,
        AlreadyExists,
        WrongState,
        Denied,
        Unsupported,
        Unavailable,
        TimedOut,
        Failed,
        Internal,
    )
}
KINDS: Final = tuple(_BY_KIND)


def error_of_kind(kind: str, summary: str, *, hint: str = "", **data: ErrorData) -> BangerError:
    """Rebuild an error that crossed the socket. An unknown kind becomes `Internal`."""
    return _BY_KIND.get(kind, Internal)(summary, hint=hint, **data)
