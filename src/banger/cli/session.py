"""A stream exchange from its request to its result: one loop over the daemon, our streams, and signals.

Nothing in it blocks: a reader of our output that has stopped reading stops the guest's program, not Ctrl-C.
"""

from __future__ import annotations

import errno
import json
import os
import select
import stat
import struct
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from banger.api import framing
from banger.api.client import error_from
from banger.api.duplex import Duplex
from banger.cli import exits
from banger.cli.signals import FORWARDED, SignalPolicy, SignalWatch
from banger.cli.terminal import RawTerminal, terminal_size
from banger.core.errors import Failed

_READ_BYTES: Final = 65536
# A pipe that polls as writable takes so much without blocking (pipe(7), PIPE_BUF); a file takes anything.
_PIPE_BYTES: Final = 4096
_CREDIT: Final = struct.Struct(">I")
_NOBODY_READS: Final = (errno.EPIPE, errno.EIO)  # a pipe's reader has left; a terminal is gone
_NAMES: Final = {1: "standard output", 2: "standard error"}
_STREAMS: Final = {framing.OUTPUT: 1, framing.ERROR_OUTPUT: 2}


class Session:
    """One exchange.

    `running`: the guest's program runs from the start; else it does when the event `ready` comes.
    `program`: there is a program that signals are for; else each of them hangs up.
    """

    def __init__(
        self,
        exchange: Duplex,
        *,
        stdin: bool,
        pty: bool,
        program: bool,
        running: bool,
        on_event: Callable[[dict[str, Any]], None],
    ) -> None:
        self._exchange = exchange
        self._running = running
        self._pty = pty
        self._program = program
        self._on_event = on_event
        self._stdin = stdin
        self._credit = framing.INPUT_WINDOW
        self._frames: deque[tuple[int, bytes]] = deque()
        self._pending = memoryview(b"")
        self._target = 1
        self._result: dict[str, Any] | None = None
        self._policy = SignalPolicy(pty=pty)
        self._terminal = RawTerminal(0) if pty and os.isatty(0) else None
        self._at_once = {descriptor: _write_size(descriptor) for descriptor in (1, 2)}

    def run(self) -> dict[str, Any]:
        """Return the result. Raises the daemon's error, or `Hangup` when a signal or a reader of ours ends it."""
        with SignalWatch() as signals:
            try:
                if self._running:
                    self._begin()
                while True:
                    while self._frames and not self._pending:
                        self._take(*self._frames.popleft())
                    if self._result is not None and not self._pending:
                        return self._result
                    self._wait(signals)
            finally:
                if self._terminal is not None:
                    self._terminal.leave()

    def _begin(self) -> None:
        self._running = True
        if self._terminal is not None:
            self._terminal.enter()

    def _wait(self, signals: SignalWatch) -> None:
        poll = select.poll()
        poll.register(signals, select.POLLIN)
        listening = not self._pending and not self._frames and self._result is None
        wanted = (select.POLLIN if listening else 0) | (select.POLLOUT if self._exchange.wants_to_send else 0)
        if wanted:
            poll.register(self._exchange, wanted)
        if self._pending:
            poll.register(self._target, select.POLLOUT)
        if self._stdin and self._running and self._credit and self._result is None:
            poll.register(0, select.POLLIN)
        ready = {descriptor for descriptor, _ in poll.poll()}
        if signals.fileno() in ready:
            for number in signals.read():
                self._on_signal(number)
        if self._target in ready:
            self._write()
        if 0 in ready:
            self._read_stdin()
        if self._exchange.fileno() in ready:
            if listening:
                self._frames.extend(self._exchange.receive())
            self._exchange.send()

    def _take(self, frame_type: int, payload: bytes) -> None:
        if frame_type in _STREAMS:
            self._target = _STREAMS[frame_type]
            self._pending = memoryview(payload)
        elif frame_type == framing.WINDOW:
            self._credit += _CREDIT.unpack(payload)[0]
        elif frame_type == framing.EVENT:
            event = json.loads(payload)
            self._on_event(event)
            if event.get("event") == "ready" and not self._running:
                self._begin()
        elif frame_type == framing.RESULT:
            self._result = json.loads(payload)
        elif frame_type == framing.ERROR:
            raise error_from(json.loads(payload))

    def _write(self) -> None:
        try:
            written = os.write(self._target, self._pending[: self._at_once[self._target]])
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno not in _NOBODY_READS:
                raise Failed(
                    f"{_NAMES[self._target]} cannot be written: {error.strerror}", hint=exits.OUTPUT_HINT
                ) from error
            raise exits.Hangup(exits.BROKEN_PIPE) from error
        self._pending = self._pending[written:]

    def _read_stdin(self) -> None:
        try:
            data = os.read(0, min(self._credit, _READ_BYTES))
        except BlockingIOError:
            return
        except OSError:
            data = b""  # a terminal that is gone reads as an error
        if data:
            self._credit -= len(data)
            self._exchange.queue(framing.INPUT, data)
        else:
            self._stdin = False
            self._exchange.queue(framing.INPUT_END)
        self._exchange.send()

    def _on_signal(self, number: int) -> None:
        if number in FORWARDED:
            running = self._running and self._program
            if self._policy.decide(number, running=running, now_s=time.monotonic()) == "hang_up":
                raise exits.Hangup(exits.SIGNALLED + number, "cancelled" if self._program else "")
            self._control({"signal": number})
        elif self._running and self._pty:
            if self._terminal is not None:
                self._terminal.enter()  # after SIGCONT another program may have changed it
            self._control(dict(terminal_size()))

    def _control(self, message: dict[str, Any]) -> None:
        self._exchange.queue(framing.CONTROL, json.dumps(message).encode())
        self._exchange.send()


def _write_size(descriptor: int) -> int:
    return framing.FRAME_LIMIT if stat.S_ISREG(os.fstat(descriptor).st_mode) else _PIPE_BYTES
