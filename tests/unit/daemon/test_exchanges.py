"""What a client gets at the end of an exchange, driven as an ASGI server drives it."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import pytest

from banger.api import framing
from banger.api.messages import API_VERSION, VERSION_HEADER, Event
from banger.core.clock import RandomIds
from banger.daemon.context import Request
from banger.daemon.exchanges import LOGS_LIMIT, Events, PlainExchange, Requests
from banger.daemon.operations.exporting import LISTED_FILES, view_patch
from banger.daemon.streams import StreamExchange
from banger.workspace.export import ExportedPatch
from banger.workspace.review import review_patch
from banger.workspace.verdict import judge_patch

SCOPE: dict[str, Any] = {
    "headers": [(VERSION_HEADER.encode(), str(API_VERSION).encode())],
    "path_params": {},
}


class Client:
    """Sends one request frame, then stays; keeps what it is sent."""

    def __init__(self) -> None:
        self._sent = False
        self.body = b""
        self.ended = False

    async def receive(self) -> MutableMapping[str, Any]:
        if self._sent:
            await asyncio.Event().wait()
        self._sent = True
        return {"type": "http.request", "body": framing.encode_frame(framing.REQUEST, b"{}"), "more_body": True}

    async def send(self, message: MutableMapping[str, Any]) -> None:
        self.body += message.get("body", b"")
        self.ended = message["type"] == "http.response.body" and not message["more_body"]

    def frames(self) -> list[tuple[int, bytes]]:
        return list(framing.FrameDecoder().feed(self.body))


class Leaver(Client):
    """Sends a request with a plain body, and hangs up when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.leave = asyncio.Event()

    async def receive(self) -> MutableMapping[str, Any]:
        if not self._sent:
            self._sent = True
            return {"type": "http.request", "body": b"{}", "more_body": False}
        await self.leave.wait()
        return {"type": "http.disconnect"}


async def test_only_requests_about_all_vms_wait_for_what_others_left() -> None:
    requests = Requests(RandomIds())
    begun, tidied = asyncio.Event(), asyncio.Event()

    async def change(_request: Request, _path: dict[str, str], _body: bytes) -> object:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await tidied.wait()
        return {}

    async def answer(_path: dict[str, str], _body: bytes) -> object:
        return {}

    async def ask(exchange: PlainExchange) -> bytes:
        client = Leaver()
        await exchange(SCOPE, client.receive, client.send)
        return client.body

    leaver = Leaver()
    leaving = asyncio.create_task(requests.progress(change)(SCOPE, leaver.receive, leaver.send))
    await begun.wait()
    leaver.leave.set()
    while not requests._cancelling:
        await asyncio.sleep(0)
    listing = asyncio.create_task(ask(requests.plain(answer, settled=True)))
    assert await ask(requests.plain(answer)) == b"{}"
    assert not listing.done()
    tidied.set()
    assert await listing == b"{}"
    await leaving


async def test_what_takes_long_to_be_taken_back_is_waited_for_once() -> None:
    requests = Requests(RandomIds(), settle_s=0.01)
    slow = asyncio.create_task(asyncio.Event().wait())
    requests._cancelling.add(slow)
    await requests._settle()
    assert requests._cancelling == set()
    slow.cancel()


class Sleeper(Client):
    """Reads so many messages, and then no more until it is woken; as a server sees it, sending waits."""

    def __init__(self, messages: int) -> None:
        super().__init__()
        self._left = messages
        self.asleep, self.awake = asyncio.Event(), asyncio.Event()

    async def receive(self) -> MutableMapping[str, Any]:
        if self._sent:
            await asyncio.Event().wait()
        self._sent = True
        return {"type": "http.request", "body": b"{}", "more_body": False}

    async def send(self, message: MutableMapping[str, Any]) -> None:
        self._left -= 1
        if self._left < 0:
            self.asleep.set()
            await self.awake.wait()
        await super().send(message)


async def test_requests_end_although_their_client_does_not_read() -> None:
    requests = Requests(RandomIds())

    async def work(request: Request, _path: dict[str, str], _body: bytes) -> object:
        for number in range(3):
            request.report({"event": "log", "text": str(number)})
        return await asyncio.Event().wait()

    sleeper = Sleeper(1)
    exchange = asyncio.create_task(requests.progress(work)(SCOPE, sleeper.receive, sleeper.send))
    await sleeper.asleep.wait()
    async with asyncio.timeout(5):
        await requests.close()
    sleeper.awake.set()
    await exchange
    assert b'"unavailable"' in sleeper.body


async def test_an_event_that_waits_for_its_client_comes_before_the_result() -> None:
    requests = Requests(RandomIds())
    sleeper = Sleeper(1)

    async def work(request: Request, _path: dict[str, str], _body: bytes) -> object:
        request.report({"event": "stage", "stage": "s", "text": "t", "state": "progress", "done": 1})
        await sleeper.asleep.wait()
        request.report({"event": "stage", "stage": "s", "text": "t", "state": "progress", "done": 2})
        asyncio.get_running_loop().call_soon(asyncio.get_running_loop().call_soon, sleeper.awake.set)
        return {}

    await requests.progress(work)(SCOPE, sleeper.receive, sleeper.send)
    events = [json.loads(line) for line in sleeper.body.splitlines()]
    assert [event.get("done") for event in events] == [1, 2, None]


async def answer_of(answer: object) -> Client:
    async def handle(_request: Request, _path: dict[str, str], _body: bytes, exchange: StreamExchange) -> object:
        await exchange.send_output(b"output")
        return answer

    client = Client()
    await Requests(RandomIds()).stream(handle)(SCOPE, client.receive, client.send)
    assert client.ended
    return client


async def test_a_result_is_the_last_frame() -> None:
    client = await answer_of({"a": 1})
    assert client.frames() == [(framing.OUTPUT, b"output"), (framing.RESULT, b'{"a": 1}')]


async def test_an_answer_that_is_too_large_is_an_error_and_not_a_break() -> None:
    client = await answer_of({"a": "x" * framing.FRAME_LIMIT})
    frame_type, payload = client.frames()[-1]
    assert frame_type == framing.ERROR
    told = json.loads(payload)
    assert told["kind"] == "internal"
    assert told["hint"]


@pytest.mark.parametrize(("name", "count"), [("d/f{}", 20_000), ("/".join(["\u202e" * 80] * 16) + "/{}", 60)])
async def test_a_patch_of_very_many_files_ends_in_one_bounded_answer(tmp_path: Path, name: str, count: int) -> None:
    patch = "".join(added_file(name.format(number)) for number in range(count)).encode()
    verdict = judge_patch(io.BytesIO(patch), size_bytes=len(patch))
    findings = review_patch(io.BytesIO(patch), verdict, places=())
    view = view_patch(ExportedPatch(path=tmp_path, size_bytes=len(patch), base="b" * 40, verdict=verdict), findings)
    assert (len(view["files"]), view["file_count"], view["additions"]) == (LISTED_FILES, count, count)
    assert (await answer_of(view)).frames()[-1][0] == framing.RESULT


def added_file(path: str) -> str:
    return (
        f"diff --git a/{path} b/{path}\nnew file mode 100644\nindex {'0' * 40}..{'b' * 40}\n"
        f"--- /dev/null\n+++ b/{path}\n@@ -0,0 +1 @@\n+x\n"
    )


async def test_a_log_that_nobody_reads_does_not_fill_the_memory() -> None:
    got: list[Event] = []

    async def deliver(event: Event) -> None:
        got.append(event)

    events = Events(deliver)
    for number in range(10 * LOGS_LIMIT):
        events.put({"event": "log", "text": f"{number}"})
    events.put({"event": "notice", "text": "done"})
    await events.deliver_during(asyncio.sleep(0))
    assert len(got) == LOGS_LIMIT + 1
    assert got[-1] == {"event": "notice", "text": "done"}
