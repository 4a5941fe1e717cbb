"""The daemon's end of a stream exchange: frames both ways over one HTTP request and its answer.

A client that hangs up cancels the work. Input is counted against a window that the consumer refills, so this side
never has to stop reading and always sees the hang-up.
"""

from __future__ import annotations

import asyncio
import json
import struct
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from banger.api import framing
from banger.api.messages import ControlMessage, Event
from banger.core.commands import SIZE_LIMIT
from banger.core.errors import Internal, Invalid

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_REQUEST_DEADLINE_S: Final = 30.0
_CREDIT: Final = struct.Struct(">I")


class HungUp(Exception):
    """The client closed its connection."""


class StreamExchange:
    """One exchange. `read_request` first, then `begin_answer`, then frames in any order, then `finish`."""

    def __init__(self, *, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._decoder = framing.FrameDecoder()
        self._frames: deque[tuple[int, bytes]] = deque()
        self._sending = asyncio.Lock()
        self._begun = False
        self.input = Input(self._give_credit)
        self.on_control: Callable[[ControlMessage], None] = lambda _message: None

    async def read_request(self) -> bytes:
        """The JSON of the request frame. Raises `Invalid` for anything else, `HungUp` when the client is gone."""
        async with asyncio.timeout(_REQUEST_DEADLINE_S):
            while not self._frames:
                await self._read_more()
        frame_type, payload = self._frames.popleft()
        if frame_type != framing.REQUEST:
            raise Invalid("a stream exchange begins with a request frame")
        return payload

    async def listen(self) -> None:
        """Take in input and control frames until the client hangs up, which raises `HungUp`."""
        while True:
            while self._frames:
                self._take(*self._frames.popleft())
            await self._read_more()

    async def send_event(self, event: Event) -> None:
        await self._send_frame(framing.EVENT, json.dumps(event).encode())

    async def send_output(self, data: bytes, *, error: bool = False) -> None:
        """Send output bytes; waits while the client is slow."""
        kind = framing.ERROR_OUTPUT if error else framing.OUTPUT
        for start in range(0, len(data), framing.FRAME_LIMIT):
            await self._send_frame(kind, data[start : start + framing.FRAME_LIMIT])

    async def finish(self, frame_type: int, payload: bytes) -> None:
        """Send the last frame, a RESULT or an ERROR whose payload `encode_last` made, and end the answer."""
        await self._send_frame(frame_type, payload)
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send_frame(self, frame_type: int, payload: bytes) -> None:
        async with self._sending:
            if not self._begun:
                self._begun = True
                headers = [(b"content-type", b"application/x-banger-stream")]
                await self._send({"type": "http.response.start", "status": 200, "headers": headers})
            body = framing.encode_frame(frame_type, payload)
            await self._send({"type": "http.response.body", "body": body, "more_body": True})

    async def _give_credit(self, count: int) -> None:
        await self._send_frame(framing.WINDOW, _CREDIT.pack(count))

    async def _read_more(self) -> None:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise HungUp
        try:
            self._frames.extend(self._decoder.feed(message.get("body", b"")))
        except framing.FramingError as error:
            raise Invalid(str(error)) from error

    def _take(self, frame_type: int, payload: bytes) -> None:
        if frame_type == framing.INPUT:
            self.input.put(payload)
        elif frame_type == framing.INPUT_END:
            self.input.put_end()
        elif frame_type == framing.CONTROL:
            self.on_control(_parse_control(payload))
        else:
            raise Invalid(f"a client does not send frames of type {frame_type}")


def encode_last(message: object) -> bytes:
    """The payload of the frame that ends an answer. Raises `Internal` when it is too large for one."""
    payload = json.dumps(message).encode()
    if len(payload) > framing.FRAME_LIMIT:
        raise Internal(
            f"the answer has {len(payload)} bytes, more than can be sent at once", hint="ask for less at once"
        )
    return payload


class Input:
    """What the client sends to a command's standard input."""

    def __init__(self, give_credit: Callable[[int], Awaitable[None]]) -> None:
        self._give_credit = give_credit
        self._chunks: deque[bytes] = deque()
        self._held = 0
        self._ended = False
        self._arrived = asyncio.Event()

    def put(self, data: bytes) -> None:
        """Add bytes that arrived. Raises `Invalid` when the client sends more than its window."""
        self._held += len(data)
        if self._held > framing.INPUT_WINDOW or self._ended:
            raise Invalid("the client sent more input than it may")
        if data:
            self._chunks.append(data)
            self._arrived.set()

    def put_end(self) -> None:
        self._ended = True
        self._arrived.set()

    async def get(self) -> bytes | None:
        """The next bytes, or None at the end. Asking for more gives the client credit for what was taken before."""
        while not self._chunks:
            if self._ended:
                return None
            self._arrived.clear()
            await self._arrived.wait()
        data = self._chunks.popleft()
        self._held -= len(data)
        await self._give_credit(len(data))
        return data


def _parse_control(payload: bytes) -> ControlMessage:
    try:
        message = json.loads(payload)
    except ValueError as error:
        raise Invalid("a control frame is not JSON") from error
    if not isinstance(message, dict):
        raise Invalid("a control frame is not an object")
    parsed: ControlMessage = {}
    for key, limit in (("signal", 64), ("rows", SIZE_LIMIT), ("columns", SIZE_LIMIT)):
        value = message.get(key)
        if value is None:
            continue
        if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= limit:
            raise Invalid(f"{key} in a control frame is not a number from 1 to {limit}")
        parsed[key] = value  # type: ignore[literal-required]  # the keys are those of the tuple above
    return parsed
