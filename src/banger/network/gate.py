"""Carrying out the verdict on each frame. Knows the current policy, but neither VMM nor passt."""

from __future__ import annotations

import select
import struct
import time
from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Final, Protocol

from banger.network import frames
from banger.network.denials import Denials
from banger.network.dns import PORT, Forwarder, NameServers, Poller
from banger.network.handshakes import Handshakes
from banger.network.plan import GuestNetwork
from banger.network.policy import ETHERNET_HEADER, IPV4, TCP, Action, egress_policy, judge_frame

RESOLVERS: Final = Path("/etc/resolv.conf")
DNS_STREAMS_LIMIT: Final = 1024
_TRANSPORT: Final = ETHERNET_HEADER + 20
_SHORTEST_TCP: Final = _TRANSPORT + 20
_IPV4_TYPE: Final = IPV4.to_bytes(2, "big")
_SYN_AND_ACK: Final = 0x12
_SYN: Final = 0x02


class Inward(Protocol):
    """The lane to the guest, which takes the gate's own answers."""

    def inject(self, frame: bytes) -> None: ...


class Gate:
    """Judges what the guest sends, answers what is refused, and stands in for the guest's name server."""

    def __init__(
        self,
        *,
        network: GuestNetwork,
        host: frozenset[IPv4Network],
        allow_private: bool,
        poller: Poller,
        write: Callable[[str], None],
    ) -> None:
        self._network = network
        self._gateway = int(network.gateway)
        self._allow_private = allow_private
        self._host = host
        self._policy = egress_policy(network, host=host, allow_private=allow_private)
        self._servers = NameServers(RESOLVERS)
        self._dns = Forwarder(servers=self._servers, poller=poller, readable=select.EPOLLIN, clock=time.monotonic)
        self._dns_streams: dict[int, int] = {}
        self._handshakes = Handshakes()
        self._denials = Denials(write)
        self._inward: Inward | None = None

    def open(self, inward: Inward) -> None:
        """Set the lane for answers to the guest, before the first frame."""
        self._inward = inward

    def learn_host(self, host: frozenset[IPv4Network]) -> None:
        """Set the host's own addresses."""
        if host != self._host:
            self._host = host
            self._policy = egress_policy(self._network, host=host, allow_private=self._allow_private)

    def admit_outward(self, frame: memoryview) -> bool:
        """Whether a frame of the guest passes; changes it in place where it goes to the host's name server."""
        action, reason = judge_frame(frame, self._policy)
        if action is Action.FORWARD:
            self._handshakes.note(frame)
            return True
        if action is Action.STREAM_DNS:
            return self._redirect_dns(frame)
        if action is Action.ANSWER_DNS:
            length = int.from_bytes(frame[_TRANSPORT + 4 : _TRANSPORT + 6], "big")
            self._dns.ask(_source_port(frame), bytes(frame[_TRANSPORT + 8 : _TRANSPORT + length]))
            return False
        assert reason is not None
        if action is Action.REFUSE:
            self._refuse(frame)
        self._denials.add(reason, lambda: describe(frame))
        return False

    def admit_inward(self, frame: memoryview) -> bool:
        """Everything from passt passes; the host's name server speaks with the address that the guest knows."""
        if len(frame) < _SHORTEST_TCP or frame[ETHERNET_HEADER + 9] != TCP or bytes(frame[12:14]) != _IPV4_TYPE:
            return True
        self._handshakes.complete(frame)
        if self._dns_streams and _source_port(frame) == PORT:
            server = self._dns_streams.get(int.from_bytes(frame[_TRANSPORT + 2 : _TRANSPORT + 4], "big"))
            if server == int.from_bytes(frame[ETHERNET_HEADER + 12 : ETHERNET_HEADER + 16], "big"):
                frames.replace_tcp_address(frame, source=True, address=self._policy.dns)
        return True

    def owns(self, fd: int) -> bool:
        """Whether `fd` is a socket on which a name server may answer."""
        return self._dns.owns(fd)

    def receive(self, fd: int) -> None:
        """Read a name server's answer and pass it on."""
        answer = self._dns.receive(fd)
        if answer is not None:
            port, payload = answer
            self._inject(
                frames.udp_to_guest(self._policy, source=self._policy.dns, source_port=PORT, port=port, payload=payload)
            )

    def expire(self) -> None:
        """Give up slow name servers."""
        self._dns.expire()

    def close(self) -> str:
        """Close all sockets. Returns the summary of what was refused."""
        self._dns.close()
        return self._denials.summary()

    def _redirect_dns(self, frame: memoryview) -> bool:
        """Send a TCP segment for the guest's name server to the host's; remember the port for the way back."""
        port = _source_port(frame)
        starts = frame[_TRANSPORT + 13] & _SYN_AND_ACK == _SYN
        server = self._servers.current_ipv4() if starts else self._dns_streams.get(port)
        if server is None:
            self._refuse(frame)
            return False
        if starts:
            self._dns_streams.pop(port, None)
            if len(self._dns_streams) >= DNS_STREAMS_LIMIT:
                del self._dns_streams[next(iter(self._dns_streams))]
            self._dns_streams[port] = server
        frames.replace_tcp_address(frame, source=False, address=server)
        self._handshakes.note(frame)
        return True

    def _refuse(self, frame: memoryview) -> None:
        self._inject(frames.refusal(frame, self._policy, gateway=self._gateway))

    def _inject(self, frame: bytes) -> None:
        assert self._inward is not None
        self._inward.inject(frame)


def describe(frame: memoryview) -> str:
    """A frame in a few words for the log: protocol, addresses, port."""
    ethertype = int.from_bytes(frame[12:14], "big") if len(frame) >= ETHERNET_HEADER else 0
    if ethertype != IPV4 or len(frame) < _TRANSPORT + 4:
        return f"ethertype {ethertype:#06x}, {len(frame)} bytes"
    protocol, source, destination = struct.unpack_from("!9xB2xII", frame, ETHERNET_HEADER)
    port = int.from_bytes(frame[_TRANSPORT + 2 : _TRANSPORT + 4], "big")
    name = {1: "ICMP", 6: f"TCP port {port}", 17: f"UDP port {port}"}.get(protocol, f"protocol {protocol}")
    return f"{name} from {IPv4Address(source)} to {IPv4Address(destination)}"


def _source_port(frame: memoryview) -> int:
    return int.from_bytes(frame[_TRANSPORT : _TRANSPORT + 2], "big")
