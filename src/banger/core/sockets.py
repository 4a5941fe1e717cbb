"""Unix sockets at paths of any length.

`sun_path` holds 107 bytes (unix(7)). A longer path is reached through a descriptor of its directory:
`/proc/self/fd/N/name` names the same socket and is always short.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@contextmanager
def short_name(path: Path | str) -> Iterator[str]:
    """A short name for `path` that is valid inside the `with` block and in this process only."""
    directory, name = os.path.split(os.fspath(path))
    descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{name}"
    finally:
        os.close(descriptor)


def connect_unix(path: Path | str, *, timeout_s: float | None = None) -> socket.socket:
    """Connect to the stream socket at `path`; each call waits at most `timeout_s`. Raises `OSError` as connect(2).

    An event loop says 0: a process that hangs does not empty its backlog, and connecting waits until there is room.
    """
    with short_name(path) as name:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(timeout_s)
        try:
            connection.connect(name)
        except BaseException:
            connection.close()
            raise
        return connection


def listen_unix(path: Path | str, *, backlog: int = 128) -> socket.socket:
    """Bind and listen at `path` with mode 0600 from birth. A stale socket is the caller's to remove.

    The file gets the mode of the socket's own inode (Linux, `unix_bind_bsd`). The umask would do the same for what
    other threads of this process make meanwhile.
    """
    with short_name(path) as name:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            os.fchmod(listener.fileno(), 0o600)
            listener.bind(name)
            listener.listen(backlog)
        except BaseException:
            listener.close()
            raise
        return listener
