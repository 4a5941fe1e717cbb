"""What a command can use: the daemon, the streams, the environment."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from banger.api.client import Connection
from banger.cli.render import Style
from banger.core.roots import find_roots
from banger.core.sockets import connect_unix

if TYPE_CHECKING:
    from banger.cli.daemon import Daemon
    from banger.core.layout import Layout


class Context:
    """The context of one command. Everything is looked up on first use."""

    def __init__(self, *, environment: Mapping[str, str], daemon_argv: Sequence[str] | None) -> None:
        self.environment = environment
        self._daemon_argv = daemon_argv
        self._layout: Layout | None = None

    @property
    def layout(self) -> Layout:
        if self._layout is None:
            from banger.core.layout import layout_from_environment

            self._layout = layout_from_environment(self.environment, uid=os.getuid())
        return self._layout

    @property
    def daemon(self) -> Daemon:
        from banger.cli.daemon import Daemon

        return Daemon(layout=self.layout, environment=self.environment, argv=self._daemon_argv)

    @property
    def style(self) -> Style:
        """For standard output."""
        return Style.for_stream(sys.stdout, self.environment)

    @property
    def error_style(self) -> Style:
        """For standard error."""
        return Style.for_stream(sys.stderr, self.environment)

    def connect(self) -> socket.socket:
        """A connection to the daemon, which is started if there is none."""
        with suppress(OSError):  # whatever it was, `Daemon` knows what to do about it
            return connect_unix(find_roots(self.environment, uid=os.getuid()).daemon_socket)
        daemon = self.daemon
        connected = daemon.connect()
        if daemon.notice:
            from banger.core.untrusted import printable

            self.tell(f"banger: {printable(daemon.notice)}")
        return connected

    def open(self) -> Connection:
        """The same for one request."""
        return Connection(self.connect())

    def write(self, text: str) -> None:
        """Print on standard output."""
        sys.stdout.write(text)

    def tell(self, text: str) -> None:
        """Print a line on standard error."""
        sys.stderr.write(text + "\n")
        sys.stderr.flush()


def vm_path(ref: str, rest: str) -> str:
    """The API's path of what a VM has. `ref` has passed `banger.cli.arguments.vm_ref`: it needs no encoding."""
    return f"/v1/vms/{ref}{rest}"
