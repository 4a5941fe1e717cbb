from __future__ import annotations

import json
import select
import socket
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from banger.api import framing
from banger.api.duplex import AnswerDecoder, Duplex
from banger.api.version import API_VERSION
from banger.core.errors import Internal, NotFound, Unavailable

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=6), st.lists(st.integers(1, 30), max_size=40))
def test_an_answer_arrives_in_any_pieces(bodies: list[bytes], cuts: list[int]) -> None:
    raw = HEAD + b"".join(map(chunk, bodies)) + b"0\r\n\r\n"
    decoder = AnswerDecoder()
    received = b""
    start = 0
    for size in [*cuts, len(raw)]:
        received += b"".join(decoder.feed(raw[start : start + size]))
        start += size
    assert received == b"".join(bodies)
    assert decoder.status == 200
    assert decoder.ended


def test_an_answer_with_a_length() -> None:
    decoder = AnswerDecoder()
    raw = b"HTTP/1.1 404 Not Found\r\ncontent-length: 5\r\n\r\nhello, and what nobody asked for"
    assert b"".join(decoder.feed(raw)) == b"hello"
    assert decoder.status == 404
    assert decoder.ended


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n",
        HEAD + b"zz\r\n",
        HEAD + b"1" * 100,
        b"x" * 70_000,
    ],
)
def test_what_is_no_answer_is_our_fault(raw: bytes) -> None:
    with pytest.raises(Internal):
        list(AnswerDecoder().feed(raw))


@pytest.fixture
def pair() -> Iterator[tuple[Duplex, socket.socket]]:
    ours, theirs = socket.socketpair()
    theirs.settimeout(10)
    duplex = Duplex(ours, path="/v1/x", request={"a": 1})
    yield duplex, theirs
    duplex.close()
    theirs.close()


def wants_to_send(duplex: Duplex) -> bool:
    return duplex.wants_to_send


def received(duplex: Duplex) -> list[tuple[int, bytes]]:
    assert select.select([duplex], [], [], 10)[0]
    return duplex.receive()


def test_the_request_goes_first(pair: tuple[Duplex, socket.socket]) -> None:
    duplex, theirs = pair
    assert wants_to_send(duplex)
    duplex.send()
    assert not wants_to_send(duplex)
    head, _, body = theirs.recv(65536).partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v1/x HTTP/1.1\r\n")
    assert f"\r\nbanger-api: {API_VERSION}".encode() in head
    assert body == chunk(framing.encode_frame(framing.REQUEST, b'{"a": 1}'))


def test_frames_come_out(pair: tuple[Duplex, socket.socket]) -> None:
    duplex, theirs = pair
    assert duplex.receive() == []
    theirs.sendall(
        HEAD + chunk(framing.encode_frame(framing.OUTPUT, b"x") + framing.encode_frame(framing.RESULT, b"{}"))
    )
    assert received(duplex) == [(framing.OUTPUT, b"x"), (framing.RESULT, b"{}")]


def test_a_refusal_is_raised(pair: tuple[Duplex, socket.socket]) -> None:
    duplex, theirs = pair
    body = json.dumps({"error": {"kind": "not_found", "summary": "no", "hint": "h", "operation": "op-1"}}).encode()
    theirs.sendall(b"HTTP/1.1 404 X\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
    with pytest.raises(NotFound, match="no") as caught:
        received(duplex)
    assert caught.value.data["operation"] == "op-1"


def test_a_refusal_is_read_even_when_nobody_takes_our_input(pair: tuple[Duplex, socket.socket]) -> None:
    duplex, theirs = pair
    body = json.dumps({"error": {"kind": "not_found", "summary": "no"}}).encode()
    theirs.sendall(b"HTTP/1.1 404 X\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
    theirs.close()
    duplex.send()
    assert not wants_to_send(duplex)
    with pytest.raises(NotFound):
        received(duplex)


@pytest.mark.parametrize("raw", [b"", HEAD[:20], HEAD, HEAD + b"5\r\n!", HEAD + b"0\r\n\r\n"])
def test_an_end_before_the_end_is_a_lost_connection(pair: tuple[Duplex, socket.socket], raw: bytes) -> None:
    duplex, theirs = pair
    theirs.sendall(raw)
    theirs.shutdown(socket.SHUT_WR)

    def read_all() -> None:
        while True:
            received(duplex)

    with pytest.raises(Unavailable, match="connection to the daemon was lost"):
        read_all()


def test_bytes_that_are_no_frames(pair: tuple[Duplex, socket.socket]) -> None:
    duplex, theirs = pair
    theirs.sendall(HEAD + chunk(b"?" * 10))
    with pytest.raises(Internal):
        received(duplex)


def test_sending_stops_when_the_socket_is_full_and_loses_nothing(pair: tuple[Duplex, socket.socket]) -> None:
    duplex, theirs = pair
    total = 0
    for _ in range(8):
        duplex.queue(framing.INPUT, b"i" * framing.FRAME_LIMIT)
    duplex.send()
    assert wants_to_send(duplex)
    while duplex.wants_to_send:
        total += len(theirs.recv(1 << 20))
        duplex.send()
    theirs.settimeout(0.0)
    try:
        while data := theirs.recv(1 << 20):
            total += len(data)
    except BlockingIOError:
        pass
    assert total > 8 * framing.FRAME_LIMIT
