"""A registry of one image that answers properly, except where a test tells it what to do instead."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from tests.fakes.images import Blob, FakeImage
from tests.fakes.web_server import Exchange, Handler

TOKEN = "token-canary-7f3a"
REPOSITORY = "team/app"

Login = Literal["none", "basic", "bearer"]


@dataclass
class RegistryServer:
    """`instead` has handlers by what is asked for: `head`, `manifest`, `child`, `config`, `layer`, `layer1`, `token`.

    A manifest is asked for by tag or digest, a `child` is one of an index.
    """

    image: FakeImage
    index: Blob | None = None
    login: Login = "none"
    realm: str = ""
    challenge: str | None = None
    basic: str = ""
    instead: dict[str, Handler] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    blob_host: str = ""

    async def __call__(self, exchange: Exchange) -> None:
        kind, _ = self._find(exchange)
        self.asked.append(kind)
        await self.instead.get(kind, self.properly)(exchange)

    async def properly(self, exchange: Exchange) -> None:
        """Answer as a good registry does."""
        kind, blob = self._find(exchange)
        if kind == "token":
            await exchange.reply(200, json.dumps({"token": TOKEN, "expires_in": 300}).encode())
        elif not self._is_welcome(exchange):
            await exchange.reply(401, b"{}", {"WWW-Authenticate": self._challenge()})
        elif blob is None:
            await exchange.reply(404, b'{"errors":[{"code":"NOT_FOUND","message":"not known here"}]}')
        elif kind in ("head", "manifest", "child"):
            headers = {"Content-Type": blob.media_type, "Docker-Content-Digest": blob.digest}
            await exchange.reply(200, blob.content, headers)
        elif self.blob_host:
            await exchange.reply(307, headers={"Location": f"{self.blob_host}{exchange.request.target}?signed=yes"})
        else:
            await send_blob(exchange, blob)

    def _find(self, exchange: Exchange) -> tuple[str, Blob | None]:
        path = exchange.request.path
        top = self.index or self.image.manifest
        if path == "/token":
            return "token", None
        if path.startswith(f"/v2/{REPOSITORY}/manifests/"):
            name = path.rpartition("/")[2]
            if name == self.image.manifest.digest and self.index is not None:
                return "child", self.image.manifest
            found = top if name in ("1", top.digest) else None
            return ("head" if exchange.request.method == "HEAD" else "manifest"), found
        digest = path.rpartition("/")[2]
        names = {layer.digest: f"layer{number or ''}" for number, layer in enumerate(self.image.layers)}
        names[self.image.config.digest] = "config"
        found = next((blob for blob in self.image.blobs if blob.digest == digest), None)
        return names.get(digest, "unknown"), found

    def _is_welcome(self, exchange: Exchange) -> bool:
        header = exchange.request.headers.get("authorization", "")
        return {"none": True, "basic": header == self.basic, "bearer": header == f"Bearer {TOKEN}"}[self.login]

    def _challenge(self) -> str:
        if self.challenge is not None:
            return self.challenge
        if self.login == "basic":
            return 'Basic realm="here"'
        return f'Bearer realm="{self.realm}",service="registry",scope="repository:{REPOSITORY}:pull"'


async def send_blob(exchange: Exchange, blob: Blob) -> None:
    """With ranges and a version, as servers of files do."""
    size = len(blob.content)
    headers = {"ETag": f'"{blob.digest}"', "Accept-Ranges": "bytes"}
    start = wanted_offset(exchange)
    if start and exchange.request.headers.get("if-range", headers["ETag"]) == headers["ETag"]:
        headers["Content-Range"] = f"bytes {start}-{size - 1}/{size}"
        await exchange.reply(206, blob.content[start:], headers)
    else:
        await exchange.reply(200, blob.content, headers)


def wanted_offset(exchange: Exchange) -> int:
    """From which byte on a blob is wanted."""
    return int(exchange.request.headers.get("range", "bytes=0-").removeprefix("bytes=").partition("-")[0])


def replying(status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Handler:
    async def reply(exchange: Exchange) -> None:
        await exchange.reply(status, body, headers)

    return reply


def sending(data: bytes) -> Handler:
    """Bytes, and then the end of the connection."""

    async def send(exchange: Exchange) -> None:
        await exchange.raw(data)
        exchange.close()

    return send


def serving(blob: Blob) -> Handler:
    """A manifest in the place of another."""
    return replying(200, blob.content, {"Content-Type": blob.media_type})


def once(first: Handler, then: Handler) -> Handler:
    """One answer to the first request, another to all others."""
    answers = [first]

    async def answer(exchange: Exchange) -> None:
        await (answers.pop() if answers else then)(exchange)

    return answer
