"""Forwarding the guest's DNS questions to the host's name servers.

passt could forward them too, but it reads the host's configuration once at its start and forwards UDP only; this
follows a laptop from one network to the next.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Final, Protocol

PORT: Final = 53
QUESTION_LIMITS: Final = (12, 4096)  # a header, and more than any resolver sends
ANSWER_LIMIT: Final = 65000
PENDING_LIMIT: Final = 64
ATTEMPT_S: Final = 2.5
SERVERS_LIMIT: Final = 3  # as resolv.conf(5)


def parse_nameservers(text: str) -> tuple[IPv4Address | IPv6Address, ...]:
    """The name servers of a resolv.conf(5), at most three; the local machine when it names none."""
    servers: list[IPv4Address | IPv6Address] = []
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 2 and words[0] == "nameserver":
            with suppress(ValueError, AddressValueError):
                servers.append(ip_address(words[1]))
    return tuple(servers[:SERVERS_LIMIT]) or (IPv4Address("127.0.0.1"),)


def is_question(payload: bytes) -> bool:
    """Whether a datagram from a guest may be a DNS question at all (RFC 1035 section 4.1.1)."""
    return QUESTION_LIMITS[0] <= len(payload) <= QUESTION_LIMITS[1] and not payload[2] & 0x80


def answers(payload: bytes, question: bytes) -> bool:
    """Whether `payload` is a response to `question`: its id, and the question repeated when there is one (RFC 5452)."""
    if len(payload) < QUESTION_LIMITS[0] or payload[:2] != question[:2] or not payload[2] & 0x80:
        return False
    if payload[4:6] == b"\0\0":
        return True
    end = question_end(question)
    return end is not None and payload[12:end].lower() == question[12:end].lower()


def question_end(message: bytes) -> int | None:
    """Where the first question of a DNS message ends, or None if it is malformed."""
    position = 12
    while position < len(message):
        length = message[position]
        position += 1
        if length == 0:
            return position + 4 if position + 4 <= len(message) else None
        if length > 63:
            return None
        position += length
    return None


class NameServers:
    """The host's name servers, read again when the file that names them has changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._servers: tuple[IPv4Address | IPv6Address, ...] = parse_nameservers("")

    def current(self) -> tuple[IPv4Address | IPv6Address, ...]:
        """The servers in their order; the last known ones while the file cannot be read."""
        with suppress(OSError):
            status = os.stat(self._path)
            seen = (status.st_ino, status.st_mtime_ns, status.st_size)
            if seen != self._seen:
                with self._path.open(encoding="utf-8", errors="replace") as file:
                    self._servers = parse_nameservers(file.read(1 << 16))
                self._seen = seen
        return self._servers

    def current_ipv4(self) -> int | None:
        """The first server with an IPv4 address, as a number."""
        return next((int(server) for server in self.current() if isinstance(server, IPv4Address)), None)


class Poller(Protocol):
    """The part of `select.epoll` that waits for answers."""

    def register(self, fd: int, eventmask: int, /) -> None: ...

    def unregister(self, fd: int, /) -> None: ...


@dataclass(slots=True)
class _Question:
    guest_port: int
    payload: bytes
    servers: tuple[IPv4Address | IPv6Address, ...]
    connection: socket.socket
    deadline_s: float


class Forwarder:
    """Forwards questions to the first name server that answers; each has its own socket, and so a random port."""

    def __init__(
        self, *, servers: NameServers, poller: Poller, readable: int, clock: Callable[[], float], port: int = PORT
    ) -> None:
        self._servers = servers
        self._poller = poller
        self._readable = readable
        self._clock = clock
        self._port = port
        self._pending: dict[int, _Question] = {}

    def ask(self, guest_port: int, payload: bytes) -> None:
        """Forward a question. The oldest one is given up when too many wait."""
        if not is_question(payload):
            return
        if len(self._pending) >= PENDING_LIMIT:
            self._forget(next(iter(self._pending)))
        self._send(guest_port, payload, self._servers.current())

    def owns(self, fd: int) -> bool:
        return fd in self._pending

    def receive(self, fd: int) -> tuple[int, bytes] | None:
        """Read what came on `fd`: the guest's port and the answer, or None. A refusal moves on to the next server."""
        question = self._pending[fd]
        try:
            answer = question.connection.recv(ANSWER_LIMIT)
        except BlockingIOError:
            return None
        except OSError:
            self._try_next(fd)
            return None
        if not answers(answer, question.payload):
            return None
        self._forget(fd)
        return question.guest_port, answer

    def expire(self) -> None:
        """Try the next server for questions that waited too long."""
        now = self._clock()
        for fd in [fd for fd, question in self._pending.items() if question.deadline_s <= now]:
            self._try_next(fd)

    def close(self) -> None:
        for fd in list(self._pending):
            self._forget(fd)

    def _try_next(self, fd: int) -> None:
        question = self._pending[fd]
        self._forget(fd)
        self._send(question.guest_port, question.payload, question.servers[1:])

    def _send(self, guest_port: int, payload: bytes, servers: tuple[IPv4Address | IPv6Address, ...]) -> None:
        for index, server in enumerate(servers):
            family = socket.AF_INET if isinstance(server, IPv4Address) else socket.AF_INET6
            connection: socket.socket | None = None
            try:
                connection = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
                connection.connect((str(server), self._port))
                connection.send(payload)
                fd = connection.fileno()
                self._poller.register(fd, self._readable)
            except OSError:  # no route, no descriptor: the next server, and then the guest's own patience
                if connection is not None:
                    connection.close()
                continue
            self._pending[fd] = _Question(guest_port, payload, servers[index:], connection, self._clock() + ATTEMPT_S)
            return

    def _forget(self, fd: int) -> None:
        question = self._pending.pop(fd)
        self._poller.unregister(fd)
        question.connection.close()
