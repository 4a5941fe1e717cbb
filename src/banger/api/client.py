"""The command line's end of the socket: blocking, standard library only.

A small HTTP/1.1 client written out here, because importing `http.client` (with the e-mail parser and TLS behind it)
costs more than a whole `banger vm list` is allowed to.
"""

from __future__ import annotations

import io
import json
import socket
from collections.abc import Iterator
from typing import Any, Final

from banger.api import framing
from banger.api.version import API_VERSION, VERSION_HEADER
from banger.core.errors import BangerError, Internal, Unavailable, error_of_kind

_HEADER_LIMIT: Final = 65536
_LINE_LIMIT: Final = 1 << 20


class Connection:
    """One request on one connection to the daemon."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._reader = io.BufferedReader(socket.SocketIO(connected, "r"), 65536)

    def close(self) -> None:
        """Close the connection, which cancels what still runs on the other side."""
        self._reader.close()
        self._socket.close()

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def fileno(self) -> int:
        return self._socket.fileno()

    def get(self, path: str) -> Any:  # noqa: ANN401 - JSON; the caller names its message type
        """A plain exchange without a body; the JSON answer."""
        self._send_head("GET", path, "Content-Length: 0\r\n")
        return self._read_plain()

    def post(self, path: str, body: object) -> Any:  # noqa: ANN401 - as above
        """A plain exchange; the JSON answer."""
        self._send_body("POST", path, body)
        return self._read_plain()

    def follow(self, path: str, body: object) -> Iterator[dict[str, Any]]:
        """A progress exchange: yields each event, then `{"result": ...}`. Raises the error that the daemon reports."""
        self._send_body("POST", path, body)
        headers = self._read_head()
        for line in _lines(self._chunks(headers)):
            message = json.loads(line)
            if "error" in message:
                raise error_from(message["error"])
            yield message
            if "result" in message:
                return
        raise lost()

    def download(self, path: str) -> Iterator[bytes]:
        """A plain request whose answer is bytes."""
        self._send_head("GET", path, "Content-Length: 0\r\n")
        yield from self._chunks(self._read_head())

    def open_stream(self, path: str, request: object) -> None:
        """Begin a stream exchange by sending its request frame."""
        self._send_head("POST", path, "Transfer-Encoding: chunked\r\nContent-Type: application/x-banger-stream\r\n")
        self.send_frame(framing.REQUEST, json.dumps(request).encode())

    def send_frame(self, frame_type: int, payload: bytes = b"") -> None:
        """Send one frame of a stream exchange; safe to call from one other thread than the reader's."""
        frame = framing.encode_frame(frame_type, payload)
        self._socket.sendall(b"%x\r\n%b\r\n" % (len(frame), frame))

    def frames(self) -> Iterator[tuple[int, bytes]]:
        """Frames of the answer; raises the daemon's error for an error frame, ends after the result frame."""
        decoder = framing.FrameDecoder()
        for chunk in self._chunks(self._read_head()):
            for frame_type, payload in decoder.feed(chunk):
                if frame_type == framing.ERROR:
                    raise error_from(json.loads(payload))
                yield frame_type, payload
                if frame_type == framing.RESULT:
                    return
        raise lost()

    def _send_body(self, method: str, path: str, body: object) -> None:
        encoded = json.dumps(body).encode()
        head = f"Content-Length: {len(encoded)}\r\nContent-Type: application/json\r\n"
        self._send_head(method, path, head, encoded)

    def _send_head(self, method: str, path: str, headers: str, body: bytes = b"") -> None:
        try:
            self._socket.sendall(request_head(method, path, headers) + body)
        except OSError as error:
            raise lost() from error

    def _read_head(self) -> dict[str, str]:
        try:
            status_line = self._reader.readline(_HEADER_LIMIT)
            headers: dict[str, str] = {}
            while (line := self._reader.readline(_HEADER_LIMIT)) not in (b"\r\n", b"\n", b""):
                name, _, value = line.decode("latin-1").partition(":")
                headers[name.strip().lower()] = value.strip()
        except OSError as error:
            raise lost() from error
        if not status_line:
            raise lost()
        status = int(status_line.split(maxsplit=2)[1])
        if status >= 400:
            body = b"".join(self._chunks(headers))
            try:
                view = json.loads(body)["error"]
            except (ValueError, KeyError, TypeError):
                raise Internal(f"the daemon answered with status {status} and no reason") from None
            raise error_from(view)
        return headers

    def _read_plain(self) -> Any:  # noqa: ANN401 - as above
        return json.loads(b"".join(self._chunks(self._read_head())))

    def _chunks(self, headers: dict[str, str]) -> Iterator[bytes]:
        """The body's bytes as they arrive. Raises `Unavailable` when the connection ends before the body does."""
        try:
            if headers.get("transfer-encoding", "").lower() != "chunked":
                left = int(headers.get("content-length", "0"))
                while left:
                    data = self._reader.read1(min(left, 65536))
                    if not data:
                        raise lost()
                    left -= len(data)
                    yield data
                return
            while True:
                size = int(self._reader.readline(64).split(b";")[0] or b"-1", 16)
                if size < 0:
                    raise lost()
                if size == 0:
                    self._reader.readline(64)
                    return
                while size:
                    data = self._reader.read1(min(size, 65536))
                    if not data:
                        raise lost()
                    size -= len(data)
                    yield data
                self._reader.readline(64)
        except OSError as error:
            raise lost() from error


def _lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines
        if len(rest) > _LINE_LIMIT:
            raise Internal("the daemon sent a line without end")


def error_from(view: dict[str, Any]) -> BangerError:
    """Rebuild the daemon's error; its operation id is in `data["operation"]`."""
    error = error_of_kind(str(view.get("kind")), str(view.get("summary")), hint=str(view.get("hint") or ""))
    error.data = {**(view.get("data") or {}), "operation": str(view.get("operation") or "")}
    return error


def request_head(method: str, path: str, headers: str) -> bytes:
    """The head of a request, with its empty line."""
    head = f"{method} {path} HTTP/1.1\r\nHost: banger\r\n{VERSION_HEADER}: {API_VERSION}\r\n{headers}\r\n"
    return head.encode("ascii")


def lost() -> Unavailable:
    """The error for a connection that closed too early."""
    return Unavailable(
        "the connection to the daemon was lost",
        hint="run the command again; `banger daemon status` shows where its log is",
    )
