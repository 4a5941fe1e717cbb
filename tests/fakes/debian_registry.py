"""The real registry of Debian's package `docker-registry` on a free port, and a small client that pushes."""

from __future__ import annotations

import base64
import http.client
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests.fakes.images import Blob, FakeImage

USER, PASSWORD = "me", "let-me-in"
# htpasswd -nbB me let-me-in
_HTPASSWD = "me:$2b$04$vk42uCPLAvYwyNYND9LFyuMxllrdfChFqvVRwECIJy1Zw7AT/YnuC\n"
BASIC = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()


@dataclass
class DebianRegistry:
    port: int
    log: Path
    authorization: str | None = None

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def push(self, repository: str, tag: str, image: FakeImage) -> None:
        for blob in image.blobs:
            self.push_blob(repository, blob)
        self.push_manifest(repository, tag, image.manifest)

    def push_blob(self, repository: str, blob: Blob) -> None:
        place = self._send("POST", f"/v2/{repository}/blobs/uploads/", 202).getheader("Location") or ""
        target = urlsplit(place)
        path = f"{target.path}?{target.query}&digest={blob.digest}"
        self._send("PUT", path, 201, blob.content, "application/octet-stream")

    def push_manifest(self, repository: str, tag: str, manifest: Blob) -> None:
        self._send("PUT", f"/v2/{repository}/manifests/{tag}", 201, manifest.content, manifest.media_type)

    def push_index(self, repository: str, tag: str, index: Blob, images: list[FakeImage]) -> None:
        for image in images:
            self.push(repository, image.manifest.digest, image)
        self.push_manifest(repository, tag, index)

    def requests(self, path: str) -> int:
        """How many requests for a path were answered, by the registry's own log."""
        return sum(f"GET {path} " in line for line in self.log.read_text().splitlines())

    def _send(
        self, method: str, path: str, status: int, body: bytes = b"", media_type: str = ""
    ) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        headers = {"Content-Length": str(len(body)), **({"Content-Type": media_type} if media_type else {})}
        if self.authorization is not None:
            headers["Authorization"] = self.authorization
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        assert response.status == status, (method, path, response.status, content)
        return response


@contextmanager
def run_registry(root: Path, *, with_login: bool = False) -> Iterator[DebianRegistry]:
    """Serve a directory until the end of the context."""
    program = shutil.which("docker-registry")
    if program is None:
        pytest.skip("docker-registry is not installed")
    root.mkdir(parents=True)
    port = _find_free_port()
    (root / "htpasswd").write_text(_HTPASSWD)
    login = f"auth:\n  htpasswd:\n    realm: test\n    path: {root}/htpasswd\n" if with_login else ""
    (root / "config.yml").write_text(
        f"version: 0.1\nlog:\n  accesslog:\n    disabled: false\n"
        f"storage:\n  filesystem:\n    rootdirectory: {root}/data\nhttp:\n  addr: 127.0.0.1:{port}\n{login}"
    )
    log = root / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [program, "serve", str(root / "config.yml")], stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
    try:
        _wait_until_it_listens(port, process, log)
        yield DebianRegistry(port, log, BASIC if with_login else None)
    finally:
        process.kill()
        process.wait()


def _find_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_it_listens(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.02)
    raise AssertionError(log.read_text())
