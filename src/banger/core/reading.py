"""Reading files that were not written by banger."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

from banger.core.errors import Invalid, NotFound
from banger.core.untrusted import printable


def open_regular(path: Path, *, what: str) -> BinaryIO:
    """Open a regular file, which never waits. `what` is what it is called in errors. Raises `NotFound` or `Invalid`."""
    hint = f"see {printable(str(path), limit=200)}"
    try:
        # O_NONBLOCK: opening a named pipe must not wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise NotFound(f"{what} cannot be read: {error.strerror}", hint=hint) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise Invalid(f"{what} is not a regular file", hint=hint)
    return os.fdopen(descriptor, "rb")


def read_bounded(path: Path, *, limit_bytes: int, what: str) -> bytes:
    """The content of a regular file that is not too large. Errors as `open_regular`."""
    with open_regular(path, what=what) as file:
        text = file.read(limit_bytes + 1)
    if len(text) > limit_bytes:
        raise Invalid(f"{what} is larger than it may be", hint=f"see {printable(str(path), limit=200)}")
    return text
