"""The process between a VM and passt. One per VM; it outlives the daemon and ends with the VM.

Started by `banger.network.user` with five descriptors: the listening socket for the VMM, the socket of passt, passt's
pidfd, the reading end of its messages, and the file where it counts. It says `ready` (or why not) on standard output
and logs to standard error.
Standard library only, without asyncio: it starts quickly, stays small, and moves frames from a plain loop.
"""

from __future__ import annotations

import argparse
import os
import select
import signal
import socket
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, NoReturn

from banger.network import frames
from banger.network.denials import Log
from banger.network.gate import Gate
from banger.network.kernel_addresses import drain, read_local_networks, watch_routes
from banger.network.lane import LENGTH_SIZE, BrokenFraming, Lane
from banger.network.plan import DEFAULT_NETWORK, GuestNetwork
from banger.network.policy import egress_policy
from banger.network.traffic import Traffic, TrafficMeter

READY: Final = "ready"
_PASST_DEADLINE_S: Final = 5.0
_VMM_DEADLINE_S: Final = 60.0
_REFRESH_S: Final = 2.0
_REFRESH_AT_MOST_EVERY_S: Final = 0.05
_PASST_END_S: Final = 1.0
_PASST_LOG_BYTES: Final = 16 << 10
_SOCKET_BUFFER_BYTES: Final = 4 << 20
_MESSAGE_BYTES: Final = 16 << 10


class CannotServe(Exception):
    """The network cannot work; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Passt:
    """The passt process as the relay holds it."""

    socket: socket.socket
    pidfd: int
    messages: int

    def check(self, network: GuestNetwork) -> None:
        """Wait until it answers a question for its gateway. Raises `CannotServe` with what it said otherwise."""
        policy = egress_policy(network, host=(), allow_private=False)
        question = frames.arp_question(policy, target=int(network.gateway))
        self.socket.settimeout(_PASST_DEADLINE_S)
        try:
            self.socket.sendall(len(question).to_bytes(LENGTH_SIZE, "big") + question)
            missing, answer = LENGTH_SIZE + len(question), b""
            while missing and (more := self.socket.recv(missing)):
                answer += more
                missing -= len(more)
        except TimeoutError as error:
            raise CannotServe(f"passt did not answer within {_PASST_DEADLINE_S:g} s") from error
        except OSError as error:
            raise CannotServe(f"passt ended: {self.last_words()}") from error
        if missing:
            raise CannotServe(f"passt ended: {self.last_words()}")
        if answer[LENGTH_SIZE : LENGTH_SIZE + 6] != policy.guest_mac:
            raise CannotServe("passt answered something else than the question for its gateway")

    def last_words(self) -> str:
        """What it printed last, once it has ended."""
        return "; ".join(self.read_messages()[-3:]) or "it said nothing"

    def read_messages(self) -> list[str]:
        """The lines it printed; complaints about a missing syslog left out. Blocks unless set otherwise."""
        said = os.read(self.messages, _MESSAGE_BYTES).decode(errors="replace")
        lines = (line.strip() for line in said.splitlines())
        return [line for line in lines if line and not (line.startswith("Failed to send ") and "syslog" in line)]

    def see_off(self) -> None:
        """Close the connection; passt then ends by itself, and is killed if it does not."""
        self.socket.close()
        poll = select.poll()
        poll.register(self.pidfd, select.POLLIN)
        if not poll.poll(_PASST_END_S * 1000):
            with suppress(ProcessLookupError, PermissionError):
                signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)


class Relay:
    """Moves frames between one VMM and one passt until one of them goes away."""

    def __init__(
        self, *, passt: Passt, network: GuestNetwork, allow_private: bool, log: Log, meter: TrafficMeter
    ) -> None:
        self._passt = passt
        self._meter = meter
        self._log = log
        self._passt_log = Log(sys.stderr.fileno(), limit=_PASST_LOG_BYTES)
        self._watch = watch_routes()
        self._poll = select.epoll()
        self._gate = Gate(
            network=network,
            host=read_local_networks(),
            allow_private=allow_private,
            poller=self._poll,
            write=log.write,
        )
        self._refreshed_s = time.monotonic()
        self._stale = False

    def accept(self, listener: socket.socket) -> socket.socket:
        """Wait for the VMM. Raises `CannotServe` when it does not come or passt ends meanwhile."""
        poll = select.poll()
        poll.register(listener, select.POLLIN)
        poll.register(self._passt.pidfd, select.POLLIN)
        ready = {fd for fd, _ in poll.poll(_VMM_DEADLINE_S * 1000)}
        if self._passt.pidfd in ready:
            raise CannotServe(f"passt ended: {self._passt.last_words()}")
        if not ready:
            raise CannotServe(f"no VMM connected within {_VMM_DEADLINE_S:g} s")
        connection, _ = listener.accept()
        return connection

    def serve(self, vmm: socket.socket) -> str:
        """Move frames until somebody goes away. Returns who it was. Raises `BrokenFraming`."""
        passt = self._passt.socket
        for end in (vmm, passt):
            end.settimeout(0)
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BUFFER_BYTES)
        inward = Lane(source=passt, sink=vmm, admit=self._gate.admit_inward)
        outward = Lane(source=vmm, sink=passt, admit=self._gate.admit_outward)
        self._gate.open(inward)
        ends = {vmm.fileno(): (outward, inward, "the VMM"), passt.fileno(): (inward, outward, "passt")}
        masks = dict.fromkeys(ends, select.EPOLLIN)
        for fd in (*ends, self._passt.pidfd, self._passt.messages, self._watch.fileno()):
            self._poll.register(fd, select.EPOLLIN)
        self._refreshed_s = float("-inf")
        self._keep_up_to_date()
        while True:
            for fd, events in self._poll.poll(_REFRESH_AT_MOST_EVERY_S if self._stale else 1.0):
                if fd == self._passt.pidfd:
                    return "passt"
                if fd not in ends:
                    self._attend(fd)
                    continue
                reads, writes, name = ends[fd]
                if not _move(reads, writes, events):
                    return name
            if not _flush(inward):
                return "the VMM"
            self._meter.show(Traffic(sent_bytes=outward.seen_bytes, received_bytes=inward.seen_bytes))
            for fd, (reads, writes, _) in ends.items():
                mask = (select.EPOLLIN if reads.has_room else 0) | (select.EPOLLOUT if writes.blocked else 0)
                if mask != masks[fd]:
                    self._poll.modify(fd, mask)
                    masks[fd] = mask
            self._keep_up_to_date()

    def close(self) -> None:
        """Hang up and see passt off."""
        self._log.write(self._gate.close())
        self._passt.see_off()

    def _attend(self, fd: int) -> None:
        """Handle everything else: changed routes, messages of passt, answers of name servers."""
        if fd == self._watch.fileno():
            drain(self._watch)
            self._stale = True
        elif fd == self._passt.messages:
            lines = self._passt.read_messages()
            for line in lines:
                self._passt_log.write(f"passt: {line}")
        elif self._gate.owns(fd):
            self._gate.receive(fd)

    def _keep_up_to_date(self) -> None:
        """Learn the host's addresses again: soon after the kernel says that a route changed, and every few seconds."""
        self._gate.expire()
        now = time.monotonic()
        if now - self._refreshed_s < (_REFRESH_AT_MOST_EVERY_S if self._stale else _REFRESH_S):
            return
        self._stale = False
        self._refreshed_s = now
        try:
            self._gate.learn_host(read_local_networks())
        except (OSError, ValueError) as error:
            self._log.write(f"the host's addresses cannot be read, the last known ones stay: {error}")


def _move(reads: Lane, writes: Lane, events: int) -> bool:
    """Read or write one end that is ready. False when it has gone."""
    if events & select.EPOLLOUT and not _flush(writes):
        return False
    if not reads.has_room:
        return not events & (select.EPOLLHUP | select.EPOLLERR)
    try:
        return not events & ~select.EPOLLOUT or reads.read()
    except ConnectionError:
        return False


def _flush(lane: Lane) -> bool:
    try:
        lane.flush()
    except ConnectionError:
        return False
    return True


def _report(text: str) -> None:
    """Tell the parent, then let go of it: its end of the pipe may close at any time."""
    with suppress(OSError):
        os.write(1, text.encode() + b"\n")
    null = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    os.dup2(null, 1)
    os.close(null)


def _end(signal_number: int, _frame: object) -> NoReturn:
    raise SystemExit(128 + signal_number)


def main(arguments: list[str] | None = None) -> int:
    """Serve one VM. Returns 0 when the VM went away, 1 when the network did."""
    parser = argparse.ArgumentParser(prog="banger-relay", allow_abbrev=False)
    parser.add_argument("--vm", required=True)
    for name in ("--listener", "--passt", "--passt-pidfd", "--passt-messages", "--traffic"):
        parser.add_argument(name, type=int, required=True)
    parser.add_argument("--allow-private", action="store_true")
    given = parser.parse_args(arguments)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _end)
    log = Log(sys.stderr.fileno())
    passt = Passt(socket=socket.socket(fileno=given.passt), pidfd=given.passt_pidfd, messages=given.passt_messages)
    try:
        relay = Relay(
            passt=passt,
            network=DEFAULT_NETWORK,
            allow_private=given.allow_private,
            log=log,
            meter=TrafficMeter(given.traffic),
        )
    except (OSError, ValueError) as error:
        _report(f"the host's addresses cannot be read: {error}")
        return 1
    try:
        passt.check(DEFAULT_NETWORK)
        _report(READY)
        with socket.socket(fileno=given.listener) as listener:
            vmm = relay.accept(listener)
        gone = relay.serve(vmm)
        log.write(f"{gone} has gone")
        return 0 if gone == "the VMM" else 1
    except CannotServe as error:
        _report(str(error))
        log.write(str(error))
        return 1
    except BrokenFraming as error:
        log.write(f"the VMM or passt broke the framing: {error}")
        return 1
    finally:
        relay.close()


if __name__ == "__main__":
    sys.exit(main())
