"""`python -m banger.daemon`: one daemon per user and set of directories.

Whoever starts it passes a pipe as `BANGER_READY_FD`; one line on it says `ready`, or in JSON what went
wrong or what else there is to say.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from banger.core.config.parsing import Configuration
from banger.core.config.reading import find_home, read_configuration, read_log_level
from banger.core.errors import BangerError, Unavailable
from banger.core.faults import translate_os_error
from banger.core.files import make_private_directory
from banger.core.layout import Layout, layout_from_environment
from banger.core.locks import try_lock
from banger.core.sockets import connect_unix
from banger.daemon.app import host_collaborators, serve
from banger.daemon.composition import Collaborators
from banger.daemon.logs import set_log_level, set_up_logging
from banger.daemon.one_daemon import lock_state

log = logging.getLogger(__name__)


OTHER_DAEMON_DEADLINE_S: Final = 60.0
OTHER_DAEMON_STEP_S: Final = 0.02


class Readiness:
    """Tells the starting command line how it went; silent when nobody asked."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor

    def tell_ready(self, notice: str) -> None:
        """The daemon answers now. `notice` is for the user."""
        self.tell(json.dumps({"notice": notice}) if notice else "ready")

    def tell(self, line: str) -> None:
        if self._descriptor is not None:
            with suppress(OSError):
                os.write(self._descriptor, line.encode() + b"\n")
            os.close(self._descriptor)
            self._descriptor = None


def lock_daemon(lock: Path, socket_path: Path) -> int | None:
    """Take the lock that one daemon holds as long as it lives; None when another daemon has it and answers.

    The other one may still be starting, or just ending, if whoever started it was interrupted. Raises
    `Unavailable` when it neither answers nor ends.
    """
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline_s = time.monotonic() + OTHER_DAEMON_DEADLINE_S
    while time.monotonic() < deadline_s:
        if try_lock(descriptor):
            return descriptor
        with suppress(OSError):
            connect_unix(socket_path, timeout_s=0).close()  # one that hangs may take no connection
            os.close(descriptor)
            return None
        time.sleep(OTHER_DAEMON_STEP_S)
    os.close(descriptor)
    raise Unavailable("another daemon is running and does not answer", hint="`banger daemon status` shows it")


def prepare(layout: Layout) -> None:
    """Make the directories, all private; also the trash, which could not be made later on a full disk."""
    kept = (layout.config, layout.state, layout.cache, layout.run, layout.vms)
    for directory in (*kept, layout.trash, layout.run / "trash"):
        make_private_directory(directory)


def main(gather: Callable[[Layout, Configuration], Collaborators] = host_collaborators) -> int:
    """Serve until told to end; the exit status says whether it began. Tests pass collaborators of their own."""
    os.umask(0o077)
    ready_descriptor = os.environ.pop("BANGER_READY_FD", None)
    os.environ.pop("MALLOC_ARENA_MAX", None)  # for this process, not for those it starts
    readiness = Readiness(int(ready_descriptor) if ready_descriptor else None)
    try:
        layout = layout_from_environment(os.environ, uid=os.getuid())
        prepare(layout)
        lock = lock_daemon(layout.daemon_lock, layout.daemon_socket)
        if lock is None:
            readiness.tell("ready")
            return 0
        set_up_logging(layout.daemon_log)
        log.info("the daemon begins, pid %d", os.getpid())
        held = [lock]
        try:
            held.append(lock_state(layout))
            configuration = read_configuration(layout.config_file, home=find_home(os.environ, uid=os.getuid()))
            set_log_level(read_log_level(configuration, os.environ)[0])
            parts = gather(layout, configuration)
            asyncio.run(serve(layout, parts, on_ready=readiness.tell_ready))
        finally:
            for descriptor in reversed(held):
                os.close(descriptor)
    except BangerError as error:
        readiness.tell(json.dumps({"kind": error.kind, "summary": error.summary, "hint": error.hint}))
        log.error("the daemon ends: %s", error.summary)
        return 1
    except OSError as error:
        told = translate_os_error(error)
        summary = f"the daemon cannot start: {told.summary}"
        readiness.tell(json.dumps({"kind": told.kind, "summary": summary, "hint": told.hint}))
        log.exception("the daemon ends")
        return 1
    log.info("the daemon ends")
    return 0


if __name__ == "__main__":
    sys.exit(main())
