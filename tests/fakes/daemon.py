"""A scripted daemon on a real socket: threads and the standard library, so that it shares nothing with the real one.

Each route is answered as the test says; every request is kept for the test to look at.
"""

from __future__ import annotations

import json
import queue
import socket
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from banger.api import framing
from banger.core.sockets import listen_unix

Handler = Callable[["Exchange"], None]
VM_ID = "0b5c1d6e-7a42-4c8e-9a55-3f1f9be4c001"


def view_vm(name: str = "box", **changes: Any) -> dict[str, Any]:
    """A running VM as the API tells it."""
    view = {
        "id": VM_ID,
        "name": name,
        "state": "running",
        "problem": "",
        "image": "debian-bookworm",
        "kernel": "debian-6.1",
        "vcpu": 2,
        "memory_mib": 2048,
        "disk_bytes": 8 << 30,
        "nat": False,
        "architecture": "x86_64",
        "ephemeral": False,
        "created_at_s": 1_700_000_000.0,
        "started_at_s": 1_700_000_001.0,
        "workspaces": [
            {"guest_path": "/root/repo", "source": "/home/me/repo", "commit": "a" * 40, "branch": "main"},
        ],
        "accelerator": "tcg",
        "pid": 4711,
        "restart_needed": [],
        "ttl_left_s": None,
        "timings_s": {"kernel": 0.9, "disks": 0.1, "agent": 0.2, "start": 1.4},
        "checks": [{"name": "kernel", "state": "pass", "elapsed_s": 0.9, "hint": ""}],
    }
    return {**view, **changes}


def view_error(kind: str, summary: str, *, hint: str = "", **data: Any) -> dict[str, Any]:
    return {"kind": kind, "summary": summary, "hint": hint, "operation": "op-0123456789", "data": data}


@dataclass
class Exchange:
    """One request and the connection that it came on."""

    method: str
    path: str
    headers: dict[str, str]
    reader: BinaryIO
    connection: socket.socket
    body: Any = None
    frames: queue.Queue[tuple[int, bytes] | None] = field(default_factory=queue.Queue)

    def send_json(self, document: object, *, status: int = 200) -> None:
        body = json.dumps(document).encode()
        head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        self.connection.sendall(head.encode() + body)

    def begin(self) -> None:
        self.connection.sendall(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")

    def chunk(self, data: bytes) -> None:
        self.connection.sendall(b"%x\r\n%b\r\n" % (len(data), data))

    def end(self) -> None:
        self.connection.sendall(b"0\r\n\r\n")

    def frame(self, frame_type: int, payload: bytes | dict[str, Any]) -> None:
        encoded = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        self.chunk(framing.encode_frame(frame_type, encoded))

    def result(self, status: int = 0, **more: Any) -> None:
        self.frame(framing.RESULT, {"status": status, "signal": None, "vm": None, **more})
        self.end()

    def next_frame(self, timeout_s: float = 20.0) -> tuple[int, bytes] | None:
        """The client's next frame; None once it has hung up."""
        return self.frames.get(timeout=timeout_s)

    def control(self) -> Any:
        """The next frame, which must be a control frame."""
        received = self.next_frame()
        assert received is not None
        assert received[0] == framing.CONTROL, received
        return json.loads(received[1])

    def read_frames(self) -> None:
        """Take the client's chunked frames apart until it hangs up."""
        decoder = framing.FrameDecoder()
        try:
            while size := int(self.reader.readline().strip() or b"0", 16):
                for received in decoder.feed(self.reader.read(size)):
                    self.frames.put(received)
                self.reader.readline()
        except OSError:
            pass
        self.frames.put(None)


class FakeDaemon:
    """Listens while inside. What a handler of the test raised is raised again at the end of the test."""

    def __init__(self, socket_path: Path) -> None:
        self._path = socket_path
        self._handlers: dict[tuple[str, str], Handler] = {}
        self._connections: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._failures: list[BaseException] = []
        self.requests: list[Exchange] = []

    def __enter__(self) -> FakeDaemon:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._listener = listen_unix(self._path)
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in list(self._connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(20)
            assert not thread.is_alive()
        with suppress(FileNotFoundError):
            self._path.unlink()
        if self._failures:
            raise self._failures[0]

    def on(self, method: str, path: str, handler: Handler) -> None:
        self._handlers[method, path] = handler

    def answers(self, method: str, path: str, document: object, *, status: int = 200) -> None:
        self.on(method, path, lambda exchange: exchange.send_json(document, status=status))

    def reports(self, path: str, messages: Iterable[object]) -> None:
        """A progress exchange: one JSON document a line."""

        def handle(exchange: Exchange) -> None:
            exchange.begin()
            for message in messages:
                exchange.chunk(json.dumps(message).encode() + b"\n")
            exchange.end()

        self.on("POST", path, handle)

    def streams(self, path: str, handler: Handler) -> None:
        """A stream exchange; `body` is the request frame's."""

        def handle(exchange: Exchange) -> None:
            reading = threading.Thread(target=exchange.read_frames)
            reading.start()
            try:
                first = exchange.next_frame()
                assert first is not None
                assert first[0] == framing.REQUEST
                exchange.body = json.loads(first[1])
                exchange.begin()
                handler(exchange)
            finally:
                with suppress(OSError):
                    exchange.connection.shutdown(socket.SHUT_RDWR)
                reading.join()

        self.on("POST", path, handle)

    def _start(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._connections.add(connection)
            self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection, connection.makefile("rb") as reader:
                self._answer(connection, reader)
        except OSError:
            pass  # the client went away
        except BaseException as error:  # noqa: BLE001 - told to the test
            self._failures.append(error)
        finally:
            self._connections.discard(connection)

    def _answer(self, connection: socket.socket, reader: BinaryIO) -> None:
        request_line = reader.readline().decode()
        if not request_line:
            return
        method, path, _ = request_line.split()
        headers: dict[str, str] = {}
        while (line := reader.readline().decode().strip()) != "":
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        exchange = Exchange(method, path, headers, reader, connection)
        if length := int(headers.get("content-length", "0")):
            exchange.body = json.loads(reader.read(length))
        self.requests.append(exchange)
        handler = self._handlers.get((method, path))
        if handler is None:
            exchange.send_json({"error": view_error("not_found", f"no route {method} {path}")}, status=404)
        else:
            handler(exchange)
