"""One blob from one source: in as many pieces as the connection breaks into, resumed where it broke off."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Protocol

from banger.core.errors import Failed
from banger.image.digests import shorten
from banger.image.manifest import Descriptor
from banger.image.registry.answers import Answer
from banger.image.registry.patience import Patience, Transient
from banger.image.registry.requests import Requests
from banger.image.registry.sources import Source

_CONTENT_RANGE: Final = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", re.ASCII)
_STRONG_TAG: Final = re.compile(r'"[\x21\x23-\x7e]{1,256}"')


class Sink(Protocol):
    """The target of a download, with what has arrived so far."""

    @property
    def offset(self) -> int:
        """How many bytes there are so far."""

    async def write(self, data: bytes) -> None:
        """Append."""

    async def restart(self) -> None:
        """Drop all bytes so far."""

    async def digest(self) -> str:
        """The digest of all bytes so far."""


@dataclass(slots=True)
class _State:
    """`tag` names the version that the pieces so far are of (RFC 9110, 13.1.5). `mixed`: they have several origins."""

    mixed: bool
    use_ranges: bool = True
    tag: str = ""


class Downloader:
    """Fetches blobs."""

    def __init__(self, requests: Requests, *, patience: Patience) -> None:
        self._requests = requests
        self._patience = patience

    async def fetch(self, source: Source, blob: Descriptor, sink: Sink) -> None:
        """Complete `sink`. Raises `Failed` for another content than the digest's, and whatever ends the last attempt.

        What was there before, or came in pieces, may be of something else: if so, all is fetched anew, once.
        """
        state = _State(mixed=sink.offset > 0)
        attempt, may_start_over = 1, True
        while True:
            before = sink.offset
            try:
                if sink.offset < blob.size:
                    await self._transfer(source, blob, sink, state)
            except Transient as trouble:
                attempt = 1 if sink.offset - before >= self._patience.progress_bytes else attempt
                await self._requests.wait_or_give_up(trouble, attempt=attempt)
                attempt += 1
                continue
            found = await sink.digest()
            if sink.offset == blob.size and found == blob.digest:
                return
            await sink.restart()
            if not (state.mixed and may_start_over):
                raise Failed(
                    f"{source.host} sent a blob that is {found}, not {blob.digest}",
                    hint="the registry, or something between it and us, changes what it sends; nothing of it was kept",
                )
            state, may_start_over = _State(mixed=False), False

    async def _transfer(self, source: Source, blob: Descriptor, sink: Sink, state: _State) -> None:
        """One request for what is missing."""
        headers: tuple[tuple[str, str], ...] = ()
        if sink.offset and not state.use_ranges:
            await sink.restart()
        if sink.offset:
            state.mixed = True
            headers = (("Range", f"bytes={sink.offset}-"), *((("If-Range", state.tag),) if state.tag else ()))
        async with self._requests.open(source, "GET", source.url("blobs", blob.digest), headers) as answer:
            if sink.offset and answer.status in (206, 416):
                _check_range(answer, sink.offset, blob, state)
            elif answer.status == 200:
                await sink.restart()  # it sends everything, whatever was asked for
                state.mixed = False
            else:
                raise await self._requests.refusal(source, answer, what=f"blob {shorten(blob.digest)}")
            if answer.length is not None and answer.length != blob.size - sink.offset:
                raise answer.error(f"announces {answer.length} bytes where {blob.size - sink.offset} are missing")
            tag = answer.header("ETag") or ""
            state.tag = tag if _STRONG_TAG.fullmatch(tag) is not None else ""
            await _receive(answer, blob, sink)


async def _receive(answer: Answer, blob: Descriptor, sink: Sink) -> None:
    async for chunk in answer.chunks():
        if sink.offset + len(chunk) > blob.size:
            await sink.restart()
            raise answer.error(f"sends more than the {blob.size} bytes that the blob {shorten(blob.digest)} has")
        await sink.write(chunk)
    if sink.offset < blob.size:
        raise Transient(answer.error(f"broke off after {sink.offset} of {blob.size} bytes"))


def _check_range(answer: Answer, offset: int, blob: Descriptor, state: _State) -> None:
    """Check that this is the missing piece; if not, the next attempt asks for everything. Raises `Transient`."""
    match = _CONTENT_RANGE.fullmatch(answer.header("Content-Range") or "") if answer.status == 206 else None
    wanted = [(str(offset), str(blob.size - 1), total) for total in ("*", str(blob.size))]
    if match is not None and match.groups() in wanted:
        return
    state.use_ranges = False
    raise Transient(answer.error(f"does not send the bytes from {offset} on that it was asked for"))
