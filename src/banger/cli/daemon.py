"""Connecting to the daemon, starting it if there is none."""

from __future__ import annotations

import os
import select
import socket
import stat
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from banger.api.client import Connection
from banger.core.errors import BangerError, Denied, Invalid, TimedOut, Unavailable, Unsupported, error_of_kind
from banger.core.layout import Layout
from banger.core.sockets import connect_unix

if TYPE_CHECKING:
    from subprocess import Popen

    from banger.api.messages import Ping

_READY_DEADLINE_S: Final = 120.0
_PREDECESSOR_DEADLINE_S: Final = 15
_PREDECESSOR_STEP_S: Final = 0.05
_END_SILENCE_S: Final = 3
_END_DEADLINE_S: Final = 480  # it finishes a `vm stop` that is under way, which may take six minutes
_LINE_LIMIT: Final = 65536
_CREDENTIALS: Final = struct.Struct("3i")  # struct ucred: pid, uid, gid (unix(7))
_TAIL_LINES: Final = 8
_TAIL_BYTES: Final = 8192


class Daemon:
    """The daemon of one layout. `argv` starts one; by default the `banger.daemon` beside this very package."""

    def __init__(self, *, layout: Layout, environment: Mapping[str, str], argv: Sequence[str] | None = None) -> None:
        self._layout = layout
        self._environment = environment
        self._argv = argv
        self.notice = ""  # what a daemon that was started here had to say

    @property
    def argv(self) -> Sequence[str]:
        """The command that is a daemon."""
        import sys

        return self._argv or [sys.executable, "-P", "-m", "banger.daemon"]

    @property
    def import_path(self) -> Mapping[str, str]:
        """What its environment needs beside ours for it to import this very package."""
        return _import_path(self._environment)

    def connect(self) -> socket.socket:
        """Connect, starting the daemon first if nobody listens. Raises `Unavailable`, `TimedOut`, or its own reason."""
        return self.connect_running() or self._start_and_connect()

    def connect_running(self) -> socket.socket | None:
        """Connect, or None when nobody listens."""
        try:
            return connect_unix(self._layout.daemon_socket)
        except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
            return None
        except OSError as error:
            raise Unavailable(
                f"the daemon's socket {self._layout.daemon_socket} cannot be reached: {error.strerror}",
                hint="`banger doctor` looks at the directories that banger uses",
            ) from error

    def ping(self) -> Ping | None:
        """What a running daemon reports about itself, or None. Raises as `connect_running`."""
        connected = self.connect_running()
        if connected is None:
            return None
        with Connection(connected) as connection:
            ping: Ping = connection.get("/v1/ping")
        return ping

    def stop(self, tell: Callable[[str], None]) -> int | None:
        """End the daemon and wait until its process is gone. Its pid, or None when none was there.

        `tell` gets a line when that takes longer than a moment.
        """
        connection = self.connect_running()
        if connection is None:
            return None
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        pid = int(_CREDENTIALS.unpack(credentials)[0])
        try:
            process = os.pidfd_open(pid)  # before it is asked to end: the number cannot be somebody else's yet
        except ProcessLookupError:
            connection.close()
            return None
        try:
            self._ask_to_end(connection, process)
            poll = select.poll()
            poll.register(process, select.POLLIN)
            if not poll.poll(_END_SILENCE_S * 1000):
                tell(
                    f"the daemon, pid {pid}, is finishing work that must not stay half done, such as stopping a VM ..."
                )
            if not poll.poll((_END_DEADLINE_S - _END_SILENCE_S) * 1000):
                raise TimedOut(
                    f"the daemon, pid {pid}, did not end within {_END_DEADLINE_S} s",
                    hint=f"`kill -KILL {pid}` ends it; VMs keep running",
                    log=str(self._layout.daemon_log),
                )
        finally:
            os.close(process)
        return pid

    def _ask_to_end(self, connected: socket.socket, process: int) -> None:
        """Over the API; a daemon that speaks another version of it is told by a signal."""
        import signal

        try:
            with Connection(connected) as connection:
                connection.post("/v1/daemon/stop", {})
        except Unsupported:
            signal.pidfd_send_signal(process, signal.SIGTERM)
        except Unavailable:
            pass  # it ended before it could answer; whether it did is seen by its process

    def _start_and_connect(self) -> socket.socket:
        import fcntl

        lock = self._open_lock(self._layout.start_lock)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)  # waits for whoever is starting one right now
            connection = self.connect_running()
            if connection is None:
                connection = self._wait_for_predecessor()
            if connection is None:
                self._start()
                connection = self.connect_running()
        finally:
            os.close(lock)
        if connection is None:
            raise self._unavailable("the daemon ended right after it had started")
        return connection

    def _open_lock(self, path: os.PathLike[str]) -> int:
        previous = os.umask(0o077)
        try:
            if home := self._environment.get("BANGER_HOME"):
                check_home(home, uid=os.getuid())
            for directory in (self._layout.run, self._layout.state):
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise Invalid(
                f"{error.filename}: {error.strerror}",
                hint="banger needs directories of its own there; BANGER_HOME=/some/dir puts them elsewhere",
            ) from error
        finally:
            os.umask(previous)

    def _wait_for_predecessor(self) -> socket.socket | None:
        """A daemon that holds its lock and does not listen is ending, or is just beginning.

        Wait for the one or the other: the connection to one that began, or None when it is gone. Raises `TimedOut`.
        """
        import fcntl
        import time

        deadline_s = time.monotonic() + _PREDECESSOR_DEADLINE_S
        lock = self._open_lock(self._layout.daemon_lock)
        try:
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    if (connection := self.connect_running()) is not None:
                        return connection
                    if time.monotonic() >= deadline_s:
                        raise TimedOut(
                            "a daemon is there, but it neither answers nor ends",
                            hint=f"look into {self._layout.daemon_log}, and end it",
                        ) from None
                    time.sleep(_PREDECESSOR_STEP_S)
                else:
                    return None
        finally:
            os.close(lock)

    def _start(self) -> None:
        """Start a daemon and wait until it says that it is ready, or why not."""
        reader, writer = os.pipe()
        try:
            try:
                process = self._spawn(writer)
            finally:
                os.close(writer)
            line = self._read_line(reader)
        finally:
            os.close(reader)
        if line == b"ready":
            process.returncode = 0  # it outlives us on purpose: no ResourceWarning
            return
        self.notice = self._read_notice(line)
        process.returncode = 0

    def _spawn(self, ready: int) -> Popen[bytes]:
        import subprocess

        descriptor = os.open(self._layout.daemon_log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            return subprocess.Popen(
                self.argv,
                # One arena (mallopt(3)): memory that one thread frees serves the others, which rarely run at once.
                env={
                    "MALLOC_ARENA_MAX": "1",
                    **self._environment,
                    **self.import_path,
                    "BANGER_READY_FD": str(ready),
                },
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=descriptor,
                stderr=descriptor,
                pass_fds=(ready,),
                start_new_session=True,
                umask=0o077,
            )
        except OSError as error:
            raise self._unavailable(f"the daemon cannot be started: {error.strerror}") from error
        finally:
            os.close(descriptor)

    def _read_line(self, reader: int) -> bytes:
        import time

        deadline_s = time.monotonic() + _READY_DEADLINE_S
        poll = select.poll()
        poll.register(reader, select.POLLIN)
        line = b""
        while b"\n" not in line and len(line) < _LINE_LIMIT:
            if not poll.poll(max(0.0, deadline_s - time.monotonic()) * 1000):
                raise TimedOut(
                    f"the daemon was not ready within {_READY_DEADLINE_S:g} s",
                    hint="its log has the details",
                    log=str(self._layout.daemon_log),
                    log_tail=self.read_log_tail(),
                )
            data = os.read(reader, 4096)
            if not data:
                break
            line += data
        return line.partition(b"\n")[0]

    def _read_notice(self, line: bytes) -> str:
        """The notice of a daemon that is ready. Raises the reason if it is not ready."""
        import json

        try:
            reason = json.loads(line)
            if "kind" not in reason:
                return str(reason["notice"])
            raise error_of_kind(str(reason["kind"]), str(reason["summary"]), hint=str(reason.get("hint") or ""))
        except (ValueError, KeyError, TypeError):
            raise self._unavailable("the daemon ended before it was ready") from None

    def _unavailable(self, summary: str) -> BangerError:
        return Unavailable(
            summary,
            hint="`banger doctor` looks for what is missing",
            log=str(self._layout.daemon_log),
            log_tail=self.read_log_tail(),
        )

    def read_log_tail(self) -> str:
        """The last lines of the daemon's log."""
        try:
            with self._layout.daemon_log.open("rb") as log:
                log.seek(max(0, os.fstat(log.fileno()).st_size - _TAIL_BYTES))
                lines = log.read(_TAIL_BYTES).decode("utf-8", "backslashreplace").splitlines()
        except OSError:
            return ""
        return "\n".join(lines[-_TAIL_LINES:])


def _import_path(environment: Mapping[str, str]) -> dict[str, str]:
    """Let the daemon import the package that this code is from, wherever it was started."""
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    if os.path.basename(root) in ("site-packages", "dist-packages"):
        return {}
    rest = [os.path.abspath(entry) for entry in environment.get("PYTHONPATH", "").split(os.pathsep) if entry]
    return {"PYTHONPATH": os.pathsep.join([root, *(entry for entry in rest if entry != root)])}


def check_home(home: str, *, uid: int) -> None:
    """Raise `Denied` for a BANGER_HOME in which other users could put files."""
    try:
        status = os.stat(home)
    except FileNotFoundError:
        return
    if status.st_uid not in (uid, 0) or (status.st_mode & 0o002 and not status.st_mode & stat.S_ISVTX):
        raise Denied(
            f"BANGER_HOME is {ascii(home)}, where another user may write",
            hint="give it a directory of your own that nobody else may write",
        )
