"""Marking refusals from before anything exists, for which the command line has one exit status."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from banger.core.errors import BangerError, Failed, Internal, TimedOut


@contextmanager
def refusing() -> Iterator[None]:
    """Mark errors from inside as refusals: `refused` in their data. A failed attempt is not a refusal."""
    try:
        yield
    except (Failed, TimedOut, Internal):
        raise
    except BangerError as error:
        error.data["refused"] = True
        raise
