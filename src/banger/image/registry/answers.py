"""Answers of a registry: headers that occur at most once, bodies of bounded size and minimum speed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, suppress
from typing import Any, Final, cast

from banger.core.errors import BangerError, Failed, TimedOut
from banger.core.sizes import format_size
from banger.core.untrusted import printable
from banger.image.registry.addresses import Place
from banger.image.registry.patience import Patience, Transient
from banger.image.registry.urls import Url

HEADERS_LIMIT: Final = 256
_HINT: Final = "the registry or something before it misbehaves; ask who runs it"


class Answer:
    """The answer to one request. `peer` is where the server is that sent it."""

    def __init__(
        self,
        *,
        status: int,
        headers: Sequence[tuple[str, str]],
        body: AsyncIterator[bytes],
        url: Url,
        peer: Place,
        patience: Patience,
    ) -> None:
        """Raises `Failed` for headers beyond all need, and for a body in another encoding than we asked for."""
        self.status = status
        self.url = url
        self.peer = peer
        self._headers = headers
        self._body = body
        self._patience = patience
        if len(headers) > HEADERS_LIMIT:
            raise self.error(f"sent {len(headers)} headers")
        encoding = self.header("Content-Encoding")
        if encoding is not None and encoding.strip().lower() not in ("", "identity"):
            raise self.error(f"compressed its answer ({printable(encoding, limit=40)}), which nobody asked for")

    def header(self, name: str) -> str | None:
        """The value of a header, None if it is not there. Raises `Failed` for one that is there with two values."""
        values = set(self.headers(name))
        if len(values) > 1:
            raise self.error(f"sent two different {name} headers")
        return values.pop() if values else None

    def headers(self, name: str) -> list[str]:
        """All values of a header that may be there several times."""
        return [value for found, value in self._headers if found.lower() == name.lower()]

    @property
    def length(self) -> int | None:
        """The announced length of the body in bytes, if any. Raises `Failed`."""
        text = self.header("Content-Length")
        if text is None:
            return None
        if not (text.isascii() and text.isdecimal() and len(text) < 20):
            raise self.error("sent a length that is not a number")
        return int(text)

    def error(self, what: str) -> Failed:
        """An error about this answer. `what` follows the name of the server."""
        return Failed(f"{self.url.origin} {what}", hint=_HINT, status=self.status)

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it comes. Raises `Transient` when it stops or becomes too slow."""
        loop = asyncio.get_running_loop()
        began_s, received = loop.time(), 0
        async with aclosing(cast("Any", self._body)) as parts:
            async for part in parts:
                yield part
                now_s, received = loop.time(), received + len(part)
                if now_s - began_s >= self._patience.rate_window_s:
                    if received < self._patience.least_bytes:
                        raise Transient(self._too_slow(received, now_s - began_s))
                    began_s, received = now_s, 0

    async def read(self, *, limit: int) -> bytes:
        """The whole body of a small answer. Raises `Failed` for more than `limit` bytes, `Transient` for a slow one."""
        if (self.length or 0) > limit:
            raise self.error(f"sent {format_size(self.length or 0)} where at most {format_size(limit)} make sense")
        content = bytearray()
        try:
            async with asyncio.timeout(self._patience.document_s), aclosing(cast("Any", self._body)) as parts:
                async for part in parts:
                    content += part
                    if len(content) > limit:
                        raise self.error(f"sent more than {format_size(limit)}")
        except TimeoutError as error:
            raise Transient(self._too_slow(len(content), self._patience.document_s)) from error
        return bytes(content)

    async def read_complaint(self, *, limit: int = 16384) -> bytes:
        """The body of a refusal; any error while reading it is ignored."""
        with suppress(BangerError, Transient):
            return await self.read(limit=limit)
        return b""

    def _too_slow(self, received: int, window_s: float) -> BangerError:
        return TimedOut(
            f"{self.url.origin} is too slow: {format_size(received)} in {window_s:.0f} s",
            hint="try again later; what is downloaded already is kept",
        )
