"""A web server that does what a test says: threads and the standard library."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Page:
    """What is at a path. `break_after`: the connection ends after so many bytes, once."""

    content: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    break_after: int | None = None
    ranges: bool = True


class WebServer:
    """Listens on 127.0.0.1; `requests` are the paths asked for, with the ranges."""

    def __init__(self) -> None:
        self.pages: dict[str, Page] = {}
        self.requests: list[tuple[str, str | None]] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.answer(self)

            def log_message(self, *_: object) -> None:
                return

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        wanted = request.headers.get("Range")
        self.requests.append((request.path, wanted))
        page = self.pages.get(request.path, Page(b"nothing here", status=404))
        start = int(wanted.removeprefix("bytes=").partition("-")[0]) if wanted and page.ranges else 0
        body = page.content[start:]
        request.send_response(206 if start else page.status)
        if start:
            end, total = len(page.content) - 1, len(page.content)
            request.send_header("Content-Range", f"bytes {start}-{end}/{total}")
        for name, value in page.headers.items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        if page.break_after is not None:
            body, page.break_after = body[: page.break_after], None
            request.close_connection = True
        request.wfile.write(body)

    @contextmanager
    def running(self) -> Iterator[WebServer]:
        self._thread.start()
        try:
            yield self
        finally:
            self._http.shutdown()
            self._thread.join()
            self._http.server_close()
