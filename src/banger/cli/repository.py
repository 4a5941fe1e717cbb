"""The repository that a command is about, and its lock file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from banger.core.errors import Invalid, NotFound
from banger.core.lock_file import LOCK_FILE, SIZE_LIMIT_BYTES, Lock, Pin, parse_lock
from banger.core.reading import read_bounded
from banger.core.untrusted import printable

if TYPE_CHECKING:
    from banger.api.messages import PinView


def find_repository(path: str) -> str:
    """The top of the git repository that `path` is in. Raises `Invalid`."""
    directory = os.path.abspath(path)
    while not os.path.lexists(os.path.join(directory, ".git")):
        parent = os.path.dirname(directory)
        if parent == directory:
            raise Invalid(f"{ascii(path)} is not in a git repository", hint="name a directory of one")
        directory = parent
    return directory


def read_lock(path: str) -> Lock:
    """The lock file of the repository that `path` is in. Raises `NotFound`, `Invalid`, `Unsupported`."""
    file = Path(find_repository(path), LOCK_FILE)
    if not os.path.lexists(file):
        raise NotFound(f"there is no {LOCK_FILE} in the repository", hint="`banger lock` writes it")
    if file.is_symlink():
        raise Invalid(f"{printable(str(file))} is a symbolic link", hint="`banger lock` writes a new one")
    return parse_lock(read_bounded(file, limit_bytes=SIZE_LIMIT_BYTES, what=LOCK_FILE), file=str(file))


def pin_view(pin: Pin) -> PinView:
    """A pin as the daemon takes it."""
    return {
        "name": pin.name,
        "platform": pin.platform,
        "digest": pin.digest,
        "source": pin.source,
        "reference": pin.reference,
        "fetched": pin.fetched,
    }
