"""Marking what is refused before anything exists, which a command line tells by one exit status."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from banger.core.errors import BangerError, Failed, Internal, TimedOut


@contextmanager
def refusing() -> Iterator[None]:
    """Mark each error from inside as a refusal: `refused` in its data. What was tried and went wrong is none."""
    try:
        yield
    except (Failed, TimedOut, Internal):
        raise
    except BangerError as error:
        error.data["refused"] = True
        raise
