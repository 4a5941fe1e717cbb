"""Ports of a guest on this computer's loopback address, for as long as somebody asks for them."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing, suppress
from typing import Final, NoReturn

from banger.api.messages import ForwardMapping, ForwardRequest
from banger.core.errors import BangerError, Denied, Failed, Invalid, Unavailable, WrongState
from banger.daemon.context import Request
from banger.daemon.operations.joining import feed_guest
from banger.daemon.supervisor import Supervisor
from banger.guest.channel import Channel
from banger.guest.streams import Stream
from banger.store.records import VmRecord

log = logging.getLogger(__name__)

ADDRESS: Final = "127.0.0.1"
MAPPINGS_LIMIT: Final = 64
# Fewer than the streams that a guest takes at once, so that commands still have some. Further clients wait.
CONNECTIONS_LIMIT: Final = 128
BACKLOG: Final = 128
_CHUNK_BYTES: Final = 65536


class ForwardPorts:
    """The use case `forward`."""

    def __init__(self, *, supervisor: Supervisor) -> None:
        self._supervisor = supervisor

    async def __call__(self, request: Request, record: VmRecord, asked: ForwardRequest) -> NoReturn:
        """Listen until we are cancelled. Raises `Unavailable` for a port that is taken, `WrongState` at the end."""
        check_mappings(asked["mappings"])
        self._supervisor.channel(record.id, record.name)
        live = self._supervisor.find(record.id)
        assert live is not None

        def channel() -> Channel:  # another one when the guest was reached again
            return self._supervisor.channel(record.id, record.name)

        with ExitStack() as listeners:
            ports = []
            for mapping in asked["mappings"]:
                listener = listeners.enter_context(closing(listen(mapping)))
                ports.append(ForwardedPort(request, channel, listener, mapping["guest_port"]))
            # All of them listen before the first is reported, so that no report has to be taken back.
            for port in ports:
                request.report(
                    {
                        "event": "forward",
                        "host_address": ADDRESS,
                        "host_port": port.host_port,
                        "guest_port": port.guest_port,
                    }
                )
            places = asyncio.Semaphore(CONNECTIONS_LIMIT)
            serving = [asyncio.create_task(port.serve(places)) for port in ports]
            try:
                await live.machine.wait()
            finally:
                for task in serving:
                    task.cancel()
                await asyncio.wait(serving)
        raise WrongState(
            f"the VM {record.name} has ended, and its ports are gone",
            hint=f"`banger vm start {record.name}` brings it back",
        )


class ForwardedPort:
    """One listening socket and the connections that came through it."""

    def __init__(
        self, request: Request, channel: Callable[[], Channel], listener: socket.socket, guest_port: int
    ) -> None:
        self._request = request
        self._channel = channel
        self._listener = listener
        self._told = False
        self.guest_port = guest_port
        self.host_port: int = listener.getsockname()[1]

    async def serve(self, places: asyncio.Semaphore) -> None:
        """Accept connections until we are cancelled, which ends those that are open."""
        connections: set[asyncio.Task[None]] = set()

        def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.create_task(self._join(reader, writer, places))
            connections.add(task)
            task.add_done_callback(connections.discard)

        server = await asyncio.start_server(accepted, sock=self._listener, backlog=BACKLOG, limit=_CHUNK_BYTES)
        try:
            await asyncio.Event().wait()
        finally:
            server.close()
            for task in connections:
                task.cancel()
            if connections:
                await asyncio.wait(connections)

    async def _join(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, places: asyncio.Semaphore
    ) -> None:
        """Relay one connection in both directions until it ends."""
        orderly = False
        try:
            async with places, self._channel().connect_tcp(self.guest_port) as guest:
                self._told = False
                await carry(reader, writer, guest)
            orderly = True
        except (BangerError, OSError) as error:
            self._tell(error)
        finally:
            if not orderly:
                writer.transport.abort()  # so that the other end does not take a broken stream for a whole one
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    def _tell(self, error: BangerError | OSError) -> None:
        """Report the first of a series of failures to the user."""
        log.info("port %d: %r", self.guest_port, error)
        if self._told or not isinstance(error, BangerError):
            return
        self._told = True
        if isinstance(error, Denied):
            self._request.notice(f"nothing listens on port {self.guest_port} of the guest: a connection was refused")
        else:
            self._request.notice(f"a connection to port {self.guest_port} broke off: {error.summary}")


async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, guest: Stream) -> None:
    """Relay bytes both ways; each direction ends on its own, and goes at the pace of its receiver."""

    async def read() -> bytes | None:
        return await reader.read(_CHUNK_BYTES) or None

    async def drain() -> None:
        while (chunk := await guest.read()) is not None:
            writer.write(chunk.data)
            await writer.drain()
        writer.write_eof()
        await guest.end()  # the other direction may go on

    feeding = asyncio.create_task(feed_guest(guest, read))
    draining = asyncio.create_task(drain())
    try:
        await asyncio.wait((feeding, draining), return_when=asyncio.FIRST_COMPLETED)
        if feeding.done():
            feeding.result()
        await draining
    finally:
        feeding.cancel()
        draining.cancel()
        await asyncio.wait((feeding, draining))


def check_mappings(mappings: Sequence[ForwardMapping]) -> None:
    """Raise `Invalid` for impossible ports, or too many."""
    if not 1 <= len(mappings) <= MAPPINGS_LIMIT:
        raise Invalid(f"{len(mappings)} ports cannot be forwarded at once", hint=f"give 1 to {MAPPINGS_LIMIT}")
    for mapping in mappings:
        if not (0 <= mapping["host_port"] <= 65535 and 1 <= mapping["guest_port"] <= 65535):
            raise Invalid("a port must be a number from 1 to 65535", hint="write HOSTPORT:GUESTPORT")


def listen(mapping: ForwardMapping) -> socket.socket:
    """A listening socket on the loopback address. Raises `Unavailable` for a port that is taken or needs privileges."""
    try:
        return _listen(mapping["host_port"])
    except OSError as error:
        if error.errno not in (errno.EADDRINUSE, errno.EACCES, errno.EPERM):
            raise Failed(f"cannot listen on a port: {error.strerror}", hint="name another port") from error
        if mapping["flexible"]:
            return _listen(0)
        taken = error.errno == errno.EADDRINUSE
        port = mapping["host_port"]
        raise Unavailable(
            f"port {port} of this computer is {'in use' if taken else 'only for privileged programs'}",
            hint=f"give another one, or 0 for any that is free: `0:{mapping['guest_port']}`",
        ) from error


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((ADDRESS, port))
        listener.listen(BACKLOG)
        listener.setblocking(False)  # noqa: FBT003 - the standard library has no keyword here
    except BaseException:
        listener.close()
        raise
    return listener
