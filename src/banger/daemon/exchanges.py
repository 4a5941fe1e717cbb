"""The four shapes of an exchange as ASGI applications, with the fence that turns every failure into an answer.

Each request runs in a task of its own that is known to `Requests`, so that a client that hangs up, or a daemon that
ends, cancels exactly that work and waits for its cleaning up.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, Final

from banger.api import framing
from banger.api.messages import API_VERSION, VERSION_HEADER, ErrorView, Event
from banger.core.clock import Ids
from banger.core.errors import BangerError, Internal, Invalid, Unavailable, Unsupported
from banger.core.faults import translate_os_error
from banger.daemon.context import Request, operation_id
from banger.daemon.streams import HungUp, Receive, Send, StreamExchange, encode_last

log = logging.getLogger(__name__)

_BODY_LIMIT: Final = 1 << 20
SETTLE_DEADLINE_S: Final = 5.0
LOGS_LIMIT: Final = 256  # events with lines of logs that wait for a client that is slow; more are lost to it
FENCE: Final = (Exception, asyncio.CancelledError)  # whatever happens, the client gets an answer
Scope = dict[str, Any]

Plain = Callable[[dict[str, str], bytes], Awaitable[object]]
Progress = Callable[[Request, dict[str, str], bytes], Awaitable[object]]
Stream = Callable[[Request, dict[str, str], bytes, StreamExchange], Awaitable[object]]
Download = Callable[[dict[str, str]], AsyncIterator[bytes]]


class Requests:
    """The requests that are being served now.

    A `settled` handler begins only when the work of clients that hung up is undone: requests that change which VMs
    exist, and those that list them, must not see it. Requests about one running guest do not wait.
    """

    def __init__(self, ids: Ids, *, settle_s: float = SETTLE_DEADLINE_S) -> None:
        self._ids = ids
        self._settle_s = settle_s
        self._tasks: set[asyncio.Task[Any]] = set()
        self._cancelling: set[asyncio.Task[Any]] = set()
        self._closed = False

    def plain(self, handler: Plain, *, settled: bool = False) -> PlainExchange:
        return PlainExchange(self, handler, settled=settled)

    def progress(self, handler: Progress, *, settled: bool = True) -> ProgressExchange:
        return ProgressExchange(self, handler, settled=settled)

    def stream(self, handler: Stream, *, settled: bool = False) -> FramedExchange:
        return FramedExchange(self, handler, settled=settled)

    def download(self, handler: Download) -> DownloadExchange:
        return DownloadExchange(self, handler)

    def new_operation(self) -> str:
        identity = self._ids.operation_id()
        operation_id.set(identity)
        return identity

    async def work(
        self, coroutine: Coroutine[Any, Any, object], listening: Coroutine[Any, Any, None], *, settled: bool
    ) -> object:
        """Run `coroutine` while `listening` for the client. However it ends, nothing is left running.

        Raises `HungUp` when the client went away first, after the work has cleaned up.
        """
        if settled:
            await self._settle()
        if self._closed:
            coroutine.close()
            listening.close()
            raise Unavailable("the daemon is ending", hint="run the command again")
        work = asyncio.create_task(coroutine)
        listener = asyncio.create_task(listening)
        self._tasks.add(work)
        work.add_done_callback(self._tasks.discard)
        try:
            await asyncio.wait((work, listener), return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                self._cancelling.add(work)
                work.add_done_callback(self._cancelling.discard)
                work.cancel()
                await asyncio.wait((work,))
                listener.result()
            return work.result()
        finally:
            for task in (work, listener):
                task.cancel()
            await asyncio.wait((work, listener))
            if not listener.cancelled():
                listener.exception()

    async def _settle(self) -> None:
        """Wait a little while the work of clients that hung up is undone; for slow work only once."""
        if self._cancelling:
            _, slow = await asyncio.wait(set(self._cancelling), timeout=self._settle_s)
            self._cancelling -= slow

    async def close(self) -> None:
        """Cancel what runs and wait for it."""
        self._closed = True
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)


async def fenced(
    work: Coroutine[Any, Any, bytes], tell: Callable[[ErrorView], Awaitable[None]], operation: str
) -> bytes:
    """The fence: whatever goes wrong in `work` is told to the client. Raises `HungUp` afterwards, or if it is gone."""
    try:
        return await work
    except FENCE as error:
        if isinstance(error, HungUp):
            raise
        await tell(error_view(error, operation))
        raise HungUp from None


class PlainExchange:
    """JSON in, JSON out."""

    def __init__(self, requests: Requests, handler: Plain, *, settled: bool) -> None:
        self._requests = requests
        self._handler = handler
        self._settled = settled

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def work() -> bytes:
            check_version(scope)
            body = await _read_body(receive)
            handling = _call(self._handler, scope, body)
            answer = await self._requests.work(handling, _until_hung_up(receive), settled=self._settled)
            return json.dumps(answer).encode()

        with suppress(HungUp):
            await _send_json(send, 200, await fenced(work(), _teller(send), self._requests.new_operation()))


class ProgressExchange:
    """JSON in, NDJSON out: events, then a result or an error."""

    def __init__(self, requests: Requests, handler: Progress, *, settled: bool) -> None:
        self._requests = requests
        self._handler = handler
        self._settled = settled

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        operation = self._requests.new_operation()

        async def read() -> bytes:
            check_version(scope)
            return await _read_body(receive)

        async def send_line(line: bytes, *, more: bool = True) -> None:
            await send({"type": "http.response.body", "body": line + b"\n", "more_body": more})

        async def work(body: bytes) -> bytes:
            events = Events(lambda event: send_line(json.dumps(event).encode()))
            request = Request(operation, events.put)
            handling = events.deliver_during(self._handler(request, dict(scope["path_params"]), body))
            answer = await self._requests.work(handling, _until_hung_up(receive), settled=self._settled)
            return json.dumps({"result": answer}).encode()

        async def tell(error: ErrorView) -> None:
            await send_line(json.dumps({"error": error}).encode(), more=False)

        with suppress(HungUp):
            body = await fenced(read(), _teller(send), operation)
            await _start(send, b"application/x-ndjson")
            await send_line(await fenced(work(body), tell, operation), more=False)


class FramedExchange:
    """Frames both ways."""

    def __init__(self, requests: Requests, handler: Stream, *, settled: bool) -> None:
        self._requests = requests
        self._handler = handler
        self._settled = settled

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        operation = self._requests.new_operation()
        exchange = StreamExchange(receive=receive, send=send)

        async def work() -> bytes:
            check_version(scope)
            body = await exchange.read_request()
            events = Events(exchange.send_event)
            request = Request(operation, events.put)
            handling = events.deliver_during(self._handler(request, dict(scope["path_params"]), body, exchange))
            return encode_last(await self._requests.work(handling, exchange.listen(), settled=self._settled))

        async def tell(error: ErrorView) -> None:
            await exchange.finish(framing.ERROR, encode_last(error))

        with suppress(HungUp):
            await exchange.finish(framing.RESULT, await fenced(work(), tell, operation))


class DownloadExchange:
    """Nothing in, bytes out."""

    def __init__(self, requests: Requests, handler: Download) -> None:
        self._requests = requests
        self._handler = handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def deliver() -> None:
            nonlocal begun
            async for data in self._handler(dict(scope["path_params"])):
                if not begun:
                    begun = True
                    await _start(send, b"application/octet-stream")
                await send({"type": "http.response.body", "body": data, "more_body": True})

        async def work() -> bytes:
            check_version(scope)
            await _read_body(receive)
            await self._requests.work(deliver(), _until_hung_up(receive), settled=False)
            return b""

        async def tell(error: ErrorView) -> None:
            if begun:  # the client notices that the end is missing
                raise RuntimeError(f"a download broke off: {error['summary']}")
            await _teller(send)(error)

        with suppress(HungUp):
            last = await fenced(work(), tell, self._requests.new_operation())
            if not begun:
                await _start(send, b"application/octet-stream")
            await send({"type": "http.response.body", "body": last, "more_body": False})


class Events:
    """Events on their way to a client. Progress of one stage that was not sent yet is replaced by newer progress.

    A guest may say more than a client reads: of a log's lines only so many wait.
    """

    def __init__(self, deliver: Callable[[Event], Awaitable[None]]) -> None:
        self._deliver = deliver
        self._waiting: list[Event] = []
        self._under_way: Event | None = None
        self._arrived = asyncio.Event()

    def put(self, event: Event) -> None:
        if event["event"] == "log" and len(self._waiting) >= LOGS_LIMIT:
            return
        last = self._waiting[-1] if self._waiting else None
        if (
            last is not None
            and last is not self._under_way
            and event["event"] == "stage"
            and last["event"] == "stage"
            and event["state"] == last["state"] == "progress"
            and event["stage"] == last["stage"]
        ):
            self._waiting[-1] = event
        else:
            self._waiting.append(event)
        self._arrived.set()

    async def deliver_during(self, work: Awaitable[object]) -> object:
        """Deliver events while `work` runs; all of them are out before its result is returned, or its failure raised.

        Not so when it is cancelled: nobody listens then, or a client that does not read would keep us for ever.
        """
        sender = asyncio.create_task(self._send_for_ever())
        heard = True
        try:
            return await work
        except asyncio.CancelledError:
            heard = False
            raise
        finally:
            sender.cancel()
            await asyncio.wait((sender,))
            if not sender.cancelled():
                sender.exception()  # which the next attempt to deliver meets too
            if heard:
                await self._send_waiting()

    async def _send_for_ever(self) -> None:
        while True:
            await self._arrived.wait()
            await self._send_waiting()

    async def _send_waiting(self) -> None:
        self._arrived.clear()
        while self._waiting:
            self._under_way = self._waiting[0]
            await self._deliver(self._under_way)  # whoever is cancelled here has sent nothing of it
            self._waiting.pop(0)


def check_version(scope: Scope) -> None:
    """Raise `Unsupported` unless the client speaks our version of the API."""
    for name, value in scope["headers"]:
        if name == VERSION_HEADER.encode():
            if value == str(API_VERSION).encode():
                return
            break
    raise Unsupported(
        f"the running daemon speaks version {API_VERSION} of the API and this command another one",
        hint="run `banger daemon restart`; running VMs stay as they are",
    )


def error_view(error: BaseException, operation: str) -> ErrorView:
    """A failure as the client sees it. Anything unforeseen is logged and becomes `internal`."""
    if isinstance(error, BangerError):
        told = error
    elif isinstance(error, asyncio.CancelledError):
        told = Unavailable("the request was cancelled because the daemon is ending", hint="run the command again")
    elif isinstance(error, OSError):
        log.error("%s failed", operation, exc_info=error)
        told = translate_os_error(error)
    else:
        log.critical("%s failed in an unforeseen way", operation, exc_info=error)
        told = Internal("something went wrong inside banger", hint=f"look for {operation} in the daemon's log")
    log.info("%s answers %s: %s", operation, told.kind, told.summary)
    return {"kind": told.kind, "summary": told.summary, "hint": told.hint, "operation": operation, "data": told.data}


async def _call(handler: Plain, scope: Scope, body: bytes) -> object:
    return await handler(dict(scope["path_params"]), body)


async def _read_body(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise HungUp
        body += message.get("body", b"")
        if len(body) > _BODY_LIMIT:
            raise Invalid(f"a request may have at most {_BODY_LIMIT} bytes")
        if not message.get("more_body"):
            return bytes(body)


async def _until_hung_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    raise HungUp


def _teller(send: Send) -> Callable[[ErrorView], Awaitable[None]]:
    """A function that sends an error as the whole answer."""
    return lambda error: _send_json(send, 400, json.dumps({"error": error}).encode())


async def _send_json(send: Send, status: int, body: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def _start(send: Send, content_type: bytes) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", content_type)]})
