"""Registries whose answers break off, never end, come too slowly, or are no HTTP, each by name."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from tests.fakes.images import Blob
from tests.fakes.registry_server import once, replying, send_blob, sending, wanted_offset
from tests.fakes.web_server import Exchange, Handler
from tests.hostile.registry_world import ANSWERING, DRIPPING, HURRIED, LAYER, Case, World, run

from banger.core.errors import Denied, Failed, NotFound, TimedOut, Unavailable

Arrange = Callable[[World], None]
HEAD = b"HTTP/1.1 200 OK\r\n"


def doing(kind: str, handler: Handler) -> Arrange:
    def arrange(world: World) -> None:
        world.server.instead[kind] = handler

    return arrange


def layer(make: Callable[[Blob], Handler]) -> Arrange:
    """The layer is sent by what `make` makes of it."""

    def arrange(world: World) -> None:
        world.server.instead["layer"] = make(world.image.layers[0])

    return arrange


def forever(begin: bytes, more: bytes, *, pause_s: float = 0.0) -> Handler:
    """A beginning, and then the same again and again for as long as somebody listens."""

    async def send(exchange: Exchange) -> None:
        await exchange.raw(begin)
        while True:
            await exchange.raw(more)
            await asyncio.sleep(pause_s)

    return send


def silent(begin: bytes = b"") -> Handler:
    async def send(exchange: Exchange) -> None:
        await exchange.raw(begin)
        await asyncio.Event().wait()

    return send


async def reset(exchange: Exchange) -> None:
    exchange.reset()


def head(*lines: str) -> bytes:
    return HEAD + "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n"


def part(blob: Blob, share: float, then: Callable[[Exchange], None] = Exchange.close) -> Handler:
    """A part of the blob, whatever is asked for, under the length of all; then the connection ends."""

    async def send(exchange: Exchange) -> None:
        size = len(blob.content)
        await exchange.raw(head(f"Content-Length: {size}") + blob.content[: int(size * share)])
        await asyncio.sleep(0.05)  # so that it arrives before the end does
        then(exchange)

    return send


def resumable_part(blob: Blob, share: float) -> Handler:
    """The same, but ranges are honoured: a little more with each request."""

    async def send(exchange: Exchange) -> None:
        start, size = wanted_offset(exchange), len(blob.content)
        rest = blob.content[start:]
        lines = [f"Content-Length: {len(rest)}"]
        begin = b"HTTP/1.1 206 Partial\r\n" if start else HEAD
        if start:
            lines.append(f"Content-Range: bytes {start}-{size - 1}/{size}")
        await exchange.raw(begin + head(*lines).removeprefix(HEAD) + rest[: int(size * share)])
        await asyncio.sleep(0.05)
        exchange.close()

    return send


def then(blob: Blob, second: Callable[[Exchange], Awaitable[None]]) -> Handler:
    """The first half, and what comes to those who ask for the second."""
    return once(part(blob, 0.5), second)


def proper(blob: Blob) -> Handler:
    async def send(exchange: Exchange) -> None:
        await send_blob(exchange, blob)

    return send


def ranged(blob: Blob, content_range: str, start: int = 0) -> Handler:
    """A 206 that says what it likes."""
    return replying(206, blob.content[start:], {"Content-Range": content_range})


def another_version(blob: Blob) -> Handler:
    """The second half of something else, as if it were that of the blob."""

    async def send(exchange: Exchange) -> None:
        if start := wanted_offset(exchange):
            size = len(blob.content)
            headers = {"Content-Range": f"bytes {start}-{size - 1}/{size}"}
            await exchange.reply(206, bytes(size - start), headers)
        else:
            await send_blob(exchange, blob)

    return send


def only_another_version(blob: Blob) -> Handler:
    """The second half of something else, always."""

    async def send(exchange: Exchange) -> None:
        await (another_version(blob) if wanted_offset(exchange) else part(blob, 0.5))(exchange)

    return send


def chunked(*chunks: bytes) -> bytes:
    return head("Transfer-Encoding: chunked") + b"".join(chunks)


def chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def partial_on_disk(content: Callable[[Blob], bytes]) -> Arrange:
    """What an earlier download left is not what it should be."""

    def arrange(world: World) -> None:
        blob = world.image.layers[0]
        path: Path = world.root / "blobs" / "partial" / blob.digest.replace(":", "-")
        path.parent.mkdir(parents=True)
        path.write_bytes(content(blob))

    return arrange


def unavailable_once(world: World) -> None:
    world.server.instead["head"] = once(replying(503), world.server.properly)


def refusing_ports(world: World) -> None:
    world.registries["127.0.0.1:1"] = world.registries.pop(world.named)._replace(host="127.0.0.1:1")
    world.named = "127.0.0.1:1"


def unknown_name(world: World) -> None:
    world.named = "nowhere.test"


BOMB = gzip.compress(bytes(50 << 20))
GZIPPED = {"Content-Encoding": "gzip", "Content-Type": "application/vnd.oci.image.manifest.v1+json"}
MANY_HEADERS = [f"X-{number}: {number}" for number in range(300)]
TOO_MANY = {"Retry-After": "86400"}

CASES = [
    # bodies without end
    Case("manifest without end", doing("manifest", forever(head(), b" " * 65536)), Failed, "sent more than 4 MiB"),
    Case("manifest of 5 GiB", doing("manifest", silent(head("Content-Length: 5368709120"))), Failed, "sent 5 GiB"),
    Case("config without end", doing("config", forever(head(), b" " * 65536)), Failed, "sends more than the"),
    Case("layer without end", layer(lambda _: forever(head(), bytes(65536))), Failed, "sends more than the"),
    Case("layer in chunks without end", layer(lambda _: forever(chunked(), chunk(bytes(999)))), Failed, "sends more than"),
    Case("layer with a byte more", layer(lambda b: sending(head() + b.content + b"x")), Failed, "sends more than the"),
    Case("layer announced with a byte more", layer(lambda b: replying(200, b.content + b"x")), Failed, "announces"),
    Case("layer announced with a byte less", layer(lambda b: replying(200, b.content[:-1])), Failed, "announces"),
    Case("layer of nothing", layer(lambda _: replying(200)), Failed, "announces 0 bytes"),
    Case("204 for a layer", layer(lambda _: replying(204)), Failed, "status 204"),
    Case("answers before the answer without end", doing("manifest", forever(b"", b"HTTP/1.1 103 Early\r\n\r\n", pause_s=0.001)), TimedOut, "did not answer|was not reached", ANSWERING),
    Case("refusal without end", doing("manifest", forever(b"HTTP/1.1 403 No\r\n\r\n", b"x" * 65536)), Denied, "does not give"),
    # bodies that break off
    Case("layer breaks off always", layer(lambda b: part(b, 0.5)), Failed, "proper HTTP|broke off"),
    Case("layer breaks off once", layer(lambda b: then(b, proper(b)))),
    Case("layer breaks off often and goes on", layer(lambda b: once(resumable_part(b, 0.4), resumable_part(b, 0.4)))),
    Case("layer ends early without a length", layer(lambda b: sending(head() + b.content[:-9])), Failed, "broke off"),
    Case("layer is reset always", layer(lambda b: part(b, 0.5, Exchange.reset)), Unavailable, "broke"),
    Case("layer is reset once", layer(lambda b: once(part(b, 0.5, Exchange.reset), proper(b)))),
    Case("connection is reset always", doing("manifest", reset), Unavailable, "broke"),
    Case("connection is closed without a word", doing("manifest", sending(b"")), Failed, "without sending a response"),
    Case("manifest breaks off", doing("manifest", sending(head("Content-Length: 900") + b"{")), Failed, "proper HTTP"),
    Case("chunks break off", layer(lambda b: sending(chunked(chunk(b.content[:99])))), Failed, "proper HTTP"),
    # slow ones
    Case("silence", doing("head", silent()), TimedOut, "sent nothing", HURRIED),
    Case("silence after half a header", doing("manifest", silent(b"HTTP/1.1 200 O")), TimedOut, "sent nothing", HURRIED),
    Case("silence after the header", layer(lambda b: silent(head(f"Content-Length: {len(b.content)}"))), TimedOut, "sent nothing", HURRIED),
    Case("silence in the middle", layer(lambda b: silent(head(f"Content-Length: {len(b.content)}") + b.content[:99])), TimedOut, "sent nothing", HURRIED),
    Case("layer drop by drop", layer(lambda b: forever(head(f"Content-Length: {len(b.content)}"), b.content[:1], pause_s=0.01)), TimedOut, "is too slow", DRIPPING),
    Case("manifest drop by drop", doing("manifest", forever(head(), b" ", pause_s=0.01)), TimedOut, "is too slow", DRIPPING),
    Case("header drop by drop", doing("manifest", forever(HEAD + b"X: ", b"y", pause_s=0.01)), TimedOut, "did not answer|was not reached", ANSWERING),
    # ranges
    Case("ranges are ignored", layer(lambda b: then(b, replying(200, b.content)))),
    Case("416", layer(lambda b: then(b, once(replying(416), proper(b))))),
    Case("416 always", layer(lambda b: then(b, replying(416))), Failed, "416|does not send the bytes"),
    Case("206 for what nobody asked", layer(lambda b: ranged(b, f"bytes 0-{len(b.content) - 1}/*")), Failed, "status 206"),
    Case("206 from another place on", layer(lambda b: then(b, once(ranged(b, f"bytes 0-{len(b.content) - 1}/*"), proper(b))))),
    Case("206 of another length", layer(lambda b: then(b, once(ranged(b, "bytes 5-9/10"), proper(b))))),
    Case("206 without a place", layer(lambda b: then(b, once(replying(206, b.content), proper(b))))),
    Case("206 of several parts", layer(lambda b: then(b, once(replying(206, b"--x", {"Content-Type": "multipart/byteranges; boundary=x"}), proper(b))))),
    Case("206 with numbers of 100 digits", layer(lambda b: then(b, once(ranged(b, f"bytes {'9' * 100}-1/*"), proper(b))))),
    Case("the blob changes in the middle", layer(lambda b: then(b, another_version(b)))),
    Case("the blob changes in the middle always", layer(only_another_version), Failed, "sent a blob that is|broke off|proper HTTP"),
    Case("what is on the disk is of something else", partial_on_disk(lambda b: bytes(len(b.content) // 2))),
    Case("what is on the disk is too long", partial_on_disk(lambda b: b.content + b"x")),
    Case("what is on the disk is as long and wrong", partial_on_disk(lambda b: bytes(len(b.content)))),
    Case("what is on the disk is all of it", partial_on_disk(lambda b: b.content)),
    # being sent away for a while
    Case("429 always", doing("manifest", replying(429, headers={"Retry-After": "0"})), Unavailable, "no more requests"),
    Case("429 until tomorrow", doing("manifest", replying(429, headers=TOO_MANY)), Unavailable, "for 86400 s"),
    Case("429 until the year 9999", doing("manifest", replying(429, headers={"Retry-After": "Fri, 31 Dec 9999 23:59:59 GMT"})), Unavailable, "no more requests for"),
    Case("429 until nobody knows", doing("manifest", replying(429, headers={"Retry-After": "\xff" * 99})), Unavailable, "no more requests"),
    Case("429 until minus one", doing("layer", replying(429, headers={"Retry-After": "-1"})), Unavailable, "no more requests"),
    Case("500 always", doing("manifest", replying(500)), Unavailable, "status 500"),
    Case("503 once", unavailable_once),
    Case("503 for the layer once", layer(lambda b: once(replying(503, headers={"Retry-After": "0"}), proper(b)))),
    Case("418", doing("manifest", replying(418)), Failed, "status 418"),
    # no proper HTTP
    Case("header of 1 MiB", doing("manifest", sending(HEAD + b"X: " + b"y" * (1 << 20) + b"\r\n\r\n")), Failed, "proper HTTP"),
    Case("header without end", doing("manifest", forever(HEAD, b"X: y\r\n" * 999)), Failed, "proper HTTP"),
    Case("300 headers", doing("manifest", sending(head(*MANY_HEADERS))), Failed, "sent 302 headers|sent 300 headers"),
    Case("HTTP/1.0", layer(lambda b: sending(b"HTTP/1.0 200 OK\r\n\r\n" + b.content))),
    Case("HTTP/0.9", doing("manifest", sending(b'{"schemaVersion": 2}')), Failed, "proper HTTP"),
    Case("HTTP/2", doing("manifest", sending(b"\0\0\x12\4\0\0\0\0\0\0\3\0\0\0\x80")), Failed, "proper HTTP"),
    Case("SSH", doing("manifest", sending(b"SSH-2.0-OpenSSH_9.2\r\n")), Failed, "proper HTTP"),
    Case("status of letters", doing("manifest", sending(b"HTTP/1.1 abc OK\r\n\r\n")), Failed, "proper HTTP"),
    Case("status 999", doing("manifest", sending(b"HTTP/1.1 999 OK\r\nContent-Length: 0\r\n\r\n")), Failed, "999"),
    Case("chunks of garbage", layer(lambda _: sending(chunked(b"zz\r\nhello\r\n"))), Failed, "proper HTTP"),
    Case("chunk of 2^64 bytes", layer(lambda b: sending(chunked(b"f" * 16 + b"\r\n" + b.content + b"x"))), Failed, "sends more than|proper HTTP"),
    Case("chunk size without end", layer(lambda _: forever(chunked(), b"0" * 999)), Failed, "proper HTTP"),
    Case("two lengths", layer(lambda b: sending(head("Content-Length: 5", f"Content-Length: {len(b.content)}"))), Failed, "proper HTTP"),
    Case("length of minus one", layer(lambda _: sending(head("Content-Length: -1"))), Failed, "proper HTTP"),
    Case("length of 30 digits", layer(lambda _: sending(head(f"Content-Length: {'9' * 30}"))), Failed, "proper HTTP|not a number|announces"),
    Case("switching protocols", doing("manifest", sending(b"HTTP/1.1 101 Go\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")), Failed, "101|proper HTTP"),
    Case("a body for HEAD", doing("head", sending(head("Content-Length: 9", "Connection: close") + b"123456789"))),
    # content that is not what it is
    Case("compressed manifest", doing("manifest", replying(200, BOMB, GZIPPED)), Failed, "compressed its answer"),
    Case("compressed layer", layer(lambda b: replying(200, b.content, {"Content-Encoding": "gzip"})), Failed, "compressed"),
    Case("layer in an unknown encoding", layer(lambda b: replying(200, b.content, {"Content-Encoding": "\x7f\xff"})), Failed, "compressed|proper HTTP"),
    Case("cookies", layer(lambda b: replying(200, b.content, {"Set-Cookie": "session=cookie-canary; Path=/"}))),
    Case("a refusal with escapes", doing("manifest", replying(404, b'{"errors":[{"message":"\\u001b[2J\\u202e gone\\n"}]}')), NotFound, "has no"),
    Case("a refusal that is no JSON", doing("manifest", replying(404, b"\xff<html>")), NotFound, "has no"),
    Case("a refusal of nested JSON", doing("manifest", replying(404, b'{"errors":' * 9999)), NotFound, "has no"),
    # nobody there
    Case("nobody listens", refusing_ports, Unavailable, "cannot connect"),
    Case("no such name", unknown_name, Unavailable, "cannot connect"),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_an_answer_that_is_not_what_it_should_be(case: Case, plain: World) -> None:
    await run(case, plain)
    assert not any("cookie" in request.headers for request in plain.web.requests)


def test_they_are_many() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 60
    assert len(LAYER) > 200_000
