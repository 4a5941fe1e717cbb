"""Starting a VM's network: passt and the relay, each in a session of its own, so that they outlive the daemon.

To end it, end the relay: passt goes with it. When the VMM goes away both end by themselves.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import banger
from banger.core import processes
from banger.core.errors import Unavailable
from banger.core.processes import ProcessIdentity, read_identity
from banger.core.sockets import listen_unix
from banger.core.untrusted import printable
from banger.network.plan import DEFAULT_NETWORK, passt_argv, reaches_out, relay_argv

_READY_DEADLINE_S: Final = 10.0
_READY: Final = b"ready"
_HINT: Final = "run `banger doctor`; without --nat a VM needs no network"
_MESSAGE_BYTES: Final = 4096
_LOOPBACK_TIMEOUT_S: Final = 2.0


class UserNetworks:
    """Networks without privileges. `python` runs the relay; `passt` is a program name or path."""

    def __init__(self, *, python: str, passt: str = "passt", allow_private: bool = False) -> None:
        self._python = python
        self._passt = passt
        self._allow_private = allow_private

    def check(self) -> None:
        """Raise `Unavailable` when passt is not installed."""
        if shutil.which(self._passt) is None:
            raise Unavailable(
                "a VM with a network needs the program passt, which is not installed",
                hint="install it (Debian: apt-get install passt) or leave out --nat",
                program=self._passt,
            )

    def is_up(self, addresses: Iterable[str]) -> bool:
        """Whether a guest with these addresses has a network, however its image configured it."""
        return reaches_out(addresses)

    async def start(
        self, *, vm_id: str, run_directory: Path, socket: Path, log: Path, traffic: Path
    ) -> ProcessIdentity:
        """Start the network of a VM. The VMM then connects to `socket` (a stream of frames), within a minute.

        The relay works in `run_directory`, has `vm_id` on its command line, appends at most 80 KiB to `log` and counts
        in `traffic` (see `read_traffic`). Raises `Unavailable` when the host has no way out or passt does not work;
        nothing is left running then.
        """
        self.check()
        socket.unlink(missing_ok=True)  # of an earlier start: its relay has ended, or will soon, and listens no more
        listener = listen_unix(socket, backlog=1)
        try:
            return await self._start_behind(
                listener, vm_id=vm_id, run_directory=run_directory, log=log, traffic=traffic
            )
        except BaseException:
            socket.unlink(missing_ok=True)
            raise
        finally:
            listener.close()

    async def _start_behind(
        self, listener: socket.socket, *, vm_id: str, run_directory: Path, log: Path, traffic: Path
    ) -> ProcessIdentity:
        ours, theirs = await asyncio.to_thread(_wire)
        messages, messages_in = os.pipe()
        opened = [messages]
        try:
            try:
                passt = await processes.start(
                    passt_argv(DEFAULT_NETWORK, fd=theirs.fileno(), passt=self._passt),
                    stderr=messages_in,
                    pass_fds=(theirs.fileno(),),
                )
            finally:
                theirs.close()
                os.close(messages_in)
            try:
                try:
                    pidfd = os.pidfd_open(passt.pid)
                except ProcessLookupError as error:  # it has ended already, and the event loop has seen it
                    said = await asyncio.to_thread(os.read, messages, _MESSAGE_BYTES)
                    raise Unavailable(
                        "the VM's network could not be started: passt ended: "
                        + printable(said.strip().rpartition(b"\n")[2], limit=300),
                        hint=_HINT,
                    ) from error
                opened.append(pidfd)
                counting = os.open(traffic, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
                opened.append(counting)
                return await self._start_relay(
                    vm_id=vm_id,
                    run_directory=run_directory,
                    log=log,
                    descriptors=(listener.fileno(), ours.fileno(), pidfd, messages, counting),
                )
            except BaseException:
                await processes.end(passt)
                raise
        finally:
            ours.close()
            for descriptor in opened:
                os.close(descriptor)

    async def _start_relay(
        self, *, vm_id: str, run_directory: Path, log: Path, descriptors: tuple[int, int, int, int, int]
    ) -> ProcessIdentity:
        listener, passt, pidfd, messages, traffic = descriptors
        log_fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            relay = await processes.start(
                relay_argv(
                    python=self._python,
                    vm_id=vm_id,
                    listener=listener,
                    passt=passt,
                    passt_pidfd=pidfd,
                    passt_messages=messages,
                    traffic=traffic,
                    allow_private=self._allow_private,
                ),
                environment={"PYTHONPATH": str(Path(banger.__file__).parents[1])},
                cwd=run_directory,
                stdout=asyncio.subprocess.PIPE,
                stderr=log_fd,
                pass_fds=descriptors,
            )
        finally:
            os.close(log_fd)
        try:
            assert relay.stdout is not None
            try:
                async with asyncio.timeout(_READY_DEADLINE_S):
                    said = (await relay.stdout.readline()).strip()
            except (TimeoutError, ValueError) as error:
                raise Unavailable("the VM's network did not come up in time", hint=_HINT) from error
            identity = read_identity(relay.pid)
            if said != _READY or identity is None:
                reason = printable(said, limit=300) or "it ended at once"
                raise Unavailable(f"the VM's network could not be started: {reason}", hint=_HINT)
        except BaseException:
            await processes.end(relay)
            raise
        return identity


def _wire() -> tuple[socket.socket, socket.socket]:
    """The two ends of the wire between relay and passt: a TCP connection inside this host.

    passt sends in one call whatever a guest's TCP window takes, megabytes at a time, and loses what the socket does not
    hold; TCP in the guest then waits for its timers, and throughput falls to a hundredth. A Unix socket pair holds
    what `net.core.wmem_max` allows an ordinary user, 416 KiB unless an administrator raised it; TCP's own buffers
    grow to 4 MiB for everybody. Raises `Unavailable` when the loopback interface does not work.
    """
    try:
        with socket.create_server(("127.0.0.1", 0), backlog=1) as listener:
            listener.settimeout(_LOOPBACK_TIMEOUT_S)
            ours = socket.create_connection(listener.getsockname(), _LOOPBACK_TIMEOUT_S)
            try:
                theirs, peer = listener.accept()
            except BaseException:
                ours.close()
                raise
    except OSError as error:
        raise Unavailable(
            f"a connection from 127.0.0.1 to itself fails: {error.strerror or error}", hint=_HINT
        ) from error
    for end in (ours, theirs):
        end.settimeout(None)
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if peer != ours.getsockname():
        ours.close()
        theirs.close()
        raise Unavailable("another program connected to the VM's network in our place", hint="try again")
    return ours, theirs
