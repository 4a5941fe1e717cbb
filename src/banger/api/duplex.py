"""A stream exchange that never blocks, for a loop that watches a terminal and signals too.

`AnswerDecoder` is pure: bytes in, body out. `Duplex` joins it to a socket.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Final

from banger.api import framing
from banger.api.client import error_from, lost, request_head
from banger.core.errors import Internal

_HEAD_LIMIT: Final = 65536
_LINE_LIMIT: Final = 64
_RECEIVE_BYTES: Final = 1 << 18


class AnswerDecoder:
    """Parses an HTTP/1.1 answer as its bytes arrive. `status` is 0 until the head is complete."""

    def __init__(self) -> None:
        self.status = 0
        self.ended = False
        self._buffer = bytearray()
        self._chunked = False
        self._left = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what `data` adds to the body. Raises `Internal` for what is no answer of ours."""
        self._buffer += data
        try:
            if not self.status and not self._take_head():
                return
            while not self.ended:
                if not self._left and not self._take_size():
                    return
                piece = bytes(self._buffer[: self._left])
                if not piece:
                    return
                del self._buffer[: len(piece)]
                self._left -= len(piece)
                yield piece
                if not self._chunked and not self._left:
                    self.ended = True
        except (ValueError, IndexError) as error:
            raise Internal("the daemon's answer is not understood", hint="run `banger daemon restart`") from error

    def _take_head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > _HEAD_LIMIT:
                raise ValueError("a head without end")
            return False
        status_line, *lines = bytes(self._buffer[:end]).decode("latin-1").split("\r\n")
        del self._buffer[: end + 4]
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        self._chunked = headers.get("transfer-encoding", "").lower() == "chunked"
        if not self._chunked:
            self._left = int(headers.get("content-length", "0"))
            self.ended = not self._left
        self.status = int(status_line.split()[1])
        return True

    def _take_size(self) -> bool:
        """Read the size of the next chunk; the empty line that ends the one before goes with it."""
        while True:
            end = self._buffer.find(b"\r\n", 0, _LINE_LIMIT)
            if end < 0:
                if len(self._buffer) >= _LINE_LIMIT:
                    raise ValueError("a line without end")
                return False
            line = bytes(self._buffer[:end])
            del self._buffer[: end + 2]
            if not line:
                continue
            self._left = int(line.split(b";")[0], 16)
            self.ended = not self._left
            return True


class Duplex:
    """One stream exchange on a connected socket, which it owns from now on."""

    def __init__(self, connected: socket.socket, *, path: str, request: object) -> None:
        self._socket = connected
        self._socket.settimeout(0)
        headers = "Transfer-Encoding: chunked\r\nContent-Type: application/x-banger-stream\r\n"
        self._outgoing = bytearray(request_head("POST", path, headers))
        self._answer = AnswerDecoder()
        self._frames = framing.FrameDecoder()
        self._refusal = bytearray()
        self._deaf = False
        self.queue(framing.REQUEST, json.dumps(request).encode())

    def close(self) -> None:
        """Close the connection, which cancels what still runs on the other side."""
        self._socket.close()

    def fileno(self) -> int:
        return self._socket.fileno()

    @property
    def wants_to_send(self) -> bool:
        return bool(self._outgoing) and not self._deaf

    def queue(self, frame_type: int, payload: bytes = b"") -> None:
        """Add a frame to what `send` sends."""
        frame = framing.encode_frame(frame_type, payload)
        self._outgoing += b"%x\r\n%b\r\n" % (len(frame), frame)

    def send(self) -> None:
        """Send what the socket takes now."""
        try:
            while self._outgoing:
                del self._outgoing[: self._socket.send(self._outgoing)]
        except BlockingIOError:
            pass
        except OSError:
            self._deaf = True  # the reason may still be waiting to be read

    def receive(self) -> list[tuple[int, bytes]]:
        """The frames that have arrived. Raises the error that the daemon reports, `Unavailable` when it is gone."""
        try:
            data = self._socket.recv(_RECEIVE_BYTES)
        except BlockingIOError:
            return []
        except OSError as error:
            raise lost() from error
        if not data:
            raise lost()
        received: list[tuple[int, bytes]] = []
        try:
            for piece in self._answer.feed(data):
                if self._answer.status >= 400:
                    self._refusal += piece
                else:
                    received.extend(self._frames.feed(piece))
        except framing.FramingError as error:
            raise Internal("the daemon's answer is not understood", hint="run `banger daemon restart`") from error
        if self._answer.ended:
            if self._answer.status >= 400:
                self._raise_refusal()
            if not received:
                raise lost()
        return received

    def _raise_refusal(self) -> None:
        try:
            view = json.loads(self._refusal)["error"]
        except (ValueError, KeyError, TypeError):
            raise Internal(f"the daemon answered with status {self._answer.status} and no reason") from None
        raise error_from(view)
