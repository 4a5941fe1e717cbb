"""Names: the host's configuration, what counts as a question and an answer, and moving on to the next server."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from banger.network.dns import (
    PENDING_LIMIT,
    Forwarder,
    NameServers,
    answers,
    is_question,
    parse_nameservers,
    question_end,
)

QUESTION = bytes.fromhex("12340100000100000000000007657861") + b"mple\x03com\x00\x00\x01\x00\x01"
ANSWER = QUESTION[:2] + b"\x81\x80" + QUESTION[4:]


@pytest.mark.parametrize(
    ("text", "servers"),
    [
        ("nameserver 192.0.2.1\n", ["192.0.2.1"]),
        ("# comment\nsearch lan\nnameserver   192.0.2.1 \nnameserver 2001:db8::1\n", ["192.0.2.1", "2001:db8::1"]),
        ("nameserver nonsense\nnameserver\nnameserver 192.0.2.9", ["192.0.2.9"]),
        ("nameserver fe80::1%eth0", ["fe80::1%eth0"]),
        ("".join(f"nameserver 192.0.2.{n}\n" for n in range(1, 9)), ["192.0.2.1", "192.0.2.2", "192.0.2.3"]),
        ("", ["127.0.0.1"]),
        (";nameserver 192.0.2.1", ["127.0.0.1"]),
    ],
)
def test_resolv_conf(text: str, servers: list[str]) -> None:
    assert parse_nameservers(text) == tuple(map(ip_address, servers))


def test_the_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    servers = NameServers(path)
    assert servers.current() == (ip_address("127.0.0.1"),)
    path.write_text("nameserver 2001:db8::1\nnameserver 192.0.2.1\n")
    assert servers.current_ipv4() == int(ip_address("192.0.2.1"))
    other = tmp_path / "new"
    other.write_text("nameserver 192.0.2.2\n")
    other.rename(path)
    assert servers.current() == (ip_address("192.0.2.2"),)
    path.unlink()
    assert servers.current() == (ip_address("192.0.2.2"),)


def test_what_may_be_a_question() -> None:
    assert is_question(QUESTION)
    assert not is_question(ANSWER)
    assert not is_question(QUESTION[:11])
    assert not is_question(bytes(4097))


def test_what_answers_a_question() -> None:
    assert answers(ANSWER, QUESTION)
    assert answers(ANSWER.replace(b"mple", b"MPLE"), QUESTION)
    assert answers(ANSWER[:4] + bytes(8), QUESTION)  # an error may leave the question out
    assert not answers(QUESTION, QUESTION)
    assert not answers(b"\xff" + ANSWER[1:], QUESTION)
    assert not answers(ANSWER.replace(b"mple", b"mplf"), QUESTION)
    assert not answers(ANSWER[:11], QUESTION)


@given(st.binary(max_size=80), st.binary(max_size=80))
def test_no_bytes_raise(one: bytes, other: bytes) -> None:
    end = question_end(one)
    assert end is None or 12 < end <= len(one)
    assert isinstance(answers(one, other), bool) if len(other) >= 12 else True
    assert isinstance(is_question(one), bool)


class World:
    """A forwarder whose name servers are sockets of the test on 127.0.0.N, all at one port."""

    def __init__(self, tmp_path: Path, stack: ExitStack) -> None:
        self.now = 100.0
        first = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        first.bind(("127.0.0.11", 0))
        self.port = first.getsockname()[1]
        self.second = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self.second.bind(("127.0.0.12", self.port))
        self.first = first
        for server in (self.first, self.second):
            server.settimeout(5)
        path = tmp_path / "resolv.conf"
        path.write_text("nameserver 127.0.0.11\nnameserver 127.0.0.12\n")
        self.poll = stack.enter_context(select.epoll())
        self.forwarder = Forwarder(
            servers=NameServers(path),
            poller=self.poll,
            readable=select.EPOLLIN,
            clock=lambda: self.now,
            port=self.port,
        )
        stack.callback(self.forwarder.close)

    def receive(self) -> tuple[int, bytes] | None:
        """What the forwarder makes of the next event."""
        ((fd, _),) = self.poll.poll(5)
        assert self.forwarder.owns(fd)
        return self.forwarder.receive(fd)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with ExitStack() as stack:
        yield World(tmp_path, stack)


def test_a_question_is_carried_and_its_answer_comes_back(world: World) -> None:
    world.forwarder.ask(4000, QUESTION)
    question, peer = world.first.recvfrom(1000)
    assert question == QUESTION
    world.first.sendto(ANSWER, peer)
    assert world.receive() == (4000, ANSWER)
    assert not world.poll.poll(0)


def test_a_forged_answer_is_not_passed_on(world: World) -> None:
    world.forwarder.ask(4000, QUESTION)
    _, peer = world.first.recvfrom(1000)
    world.first.sendto(b"\xff\xff" + ANSWER[2:], peer)
    assert world.receive() is None
    world.second.sendto(ANSWER, peer)  # the socket is connected to the first server
    world.first.sendto(ANSWER, peer)
    assert world.receive() == (4000, ANSWER)


def test_a_refusal_moves_on_to_the_next_server(world: World) -> None:
    world.first.close()
    world.forwarder.ask(4000, QUESTION)
    assert world.receive() is None
    _, peer = world.second.recvfrom(1000)
    world.second.sendto(ANSWER, peer)
    assert world.receive() == (4000, ANSWER)


def test_silence_moves_on_to_the_next_server_and_ends(world: World) -> None:
    world.forwarder.ask(4000, QUESTION)
    world.forwarder.expire()
    world.now += 60
    world.forwarder.expire()
    assert world.second.recvfrom(1000)[0] == QUESTION
    world.now += 60
    world.forwarder.expire()
    assert not world.poll.poll(0)


def test_what_is_no_question_goes_nowhere(world: World) -> None:
    world.forwarder.ask(4000, ANSWER)
    world.forwarder.ask(4000, b"short")
    world.forwarder.ask(4000, QUESTION)
    assert world.first.recvfrom(1000)[0] == QUESTION


def test_a_flood_of_questions_holds_few_sockets(world: World, tmp_path: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for port in range(1, 1000):
        world.forwarder.ask(port, QUESTION)
    assert len(list(Path("/proc/self/fd").iterdir())) - before == PENDING_LIMIT
