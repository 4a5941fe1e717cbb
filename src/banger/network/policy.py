"""The verdict on one frame that a guest sends. Pure: same frame, same policy, same verdict.

Anti-spoofing comes before every rule that passes something. What the rules do not name is dropped.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Network
from typing import Final, NamedTuple

from banger.network.plan import GuestNetwork, mac_bytes
from banger.network.ranges import AddressTable, Reason, forbidden_table

ETHERNET_HEADER: Final = 14
FRAME_LIMIT: Final = ETHERNET_HEADER + 65535
SHORTEST_PADDED: Final = 60  # Ethernet pads shorter frames with bytes that belong to nobody

IPV4: Final = 0x0800
ARP: Final = 0x0806

_EVERYBODY: Final = b"\xff" * 6
_DO_NOT_FRAGMENT: Final = 0x4000

ICMP: Final = 1
TCP: Final = 6
UDP: Final = 17
DNS_PORT: Final = 53

_FOREIGN: Final = {0x86DD: Reason.IPV6, 0x8100: Reason.VLAN, 0x88A8: Reason.VLAN, 0x9100: Reason.VLAN}
_ETHERNET: Final = struct.Struct("!6s6sH")
_IPV4: Final = struct.Struct("!BBHHHBBHII")
_IPV4_WORDS: Final = struct.Struct("!10H")
_ARP: Final = struct.Struct("!HHBBH6sI6sI")
_PORTS_AND_LENGTH: Final = struct.Struct("!HHH")
_TRANSPORT_HEADERS: Final = {ICMP: 8, TCP: 20, UDP: 8}


class Action(Enum):
    """What the relay does with a frame."""

    FORWARD = "forward"
    ANSWER_DNS = "answer DNS"  # a question over UDP for the relay's own forwarder
    STREAM_DNS = "stream DNS"  # the same over TCP: goes to the host's name server through passt
    REFUSE = "refuse"  # tell the guest, so that its program fails at once
    DROP = "drop"


class Verdict(NamedTuple):
    """An action and, where the frame does not pass, the reason."""

    action: Action
    reason: Reason | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressPolicy:
    """Who the guest is and what it may not reach. Addresses are numbers in host order."""

    guest: int
    guest_mac: bytes
    gateway_mac: bytes
    dns: int
    subnet: int
    subnet_mask: int
    forbidden: AddressTable


def egress_policy(network: GuestNetwork, *, host: Iterable[IPv4Network], allow_private: bool = False) -> EgressPolicy:
    """The policy of a guest on `network` while the host owns the addresses `host`."""
    subnet = network.address.network
    return EgressPolicy(
        guest=int(network.address.ip),
        guest_mac=mac_bytes(network.guest_mac),
        gateway_mac=mac_bytes(network.gateway_mac),
        dns=int(network.dns),
        subnet=int(subnet.network_address),
        subnet_mask=int(subnet.netmask),
        forbidden=forbidden_table(host=host, subnet=subnet, allow_private=allow_private),
    )


_FORWARD: Final = Verdict(Action.FORWARD)
_ANSWER_DNS: Final = Verdict(Action.ANSWER_DNS)
_STREAM_DNS: Final = Verdict(Action.STREAM_DNS)
_DROPS: Final = {reason: Verdict(Action.DROP, reason) for reason in Reason}
_REFUSALS: Final = {reason: Verdict(Action.REFUSE, reason) for reason in Reason}
_SILENT: Final = frozenset(
    (Reason.MULTICAST, Reason.BROADCAST, Reason.THIS_NETWORK)
)  # RFC 1122 3.2.2: no ICMP for these


def judge_frame(frame: bytes | bytearray | memoryview, policy: EgressPolicy) -> Verdict:
    """Judge one Ethernet frame from the guest."""
    if not ETHERNET_HEADER <= len(frame) <= FRAME_LIMIT:
        return _DROPS[Reason.MALFORMED]
    station, source, ethertype = _ETHERNET.unpack_from(frame)
    if source != policy.guest_mac:
        return _DROPS[Reason.SPOOFED]
    if ethertype == IPV4:
        return _judge_ipv4(frame, policy, station)
    if ethertype == ARP:
        wrong = _wrong_in_arp(frame, policy, station)
        return _FORWARD if wrong is None else _DROPS[wrong]
    return _DROPS[_FOREIGN.get(ethertype, Reason.ETHERTYPE)]


def _wrong_in_arp(frame: bytes | bytearray | memoryview, policy: EgressPolicy, station: bytes) -> Reason | None:
    """Only questions about the guest's own subnet, asked in its own name (RFC 826; RFC 5227 for probes from zero)."""
    if not ETHERNET_HEADER + _ARP.size <= len(frame) <= SHORTEST_PADDED:
        return Reason.MALFORMED
    hardware, protocol, hardware_size, protocol_size, operation, sender_mac, sender, _, target = _ARP.unpack_from(
        frame, ETHERNET_HEADER
    )
    if (hardware, protocol, hardware_size, protocol_size) != (1, IPV4, 6, 4):
        return Reason.MALFORMED
    if sender_mac != policy.guest_mac or sender not in (policy.guest, 0):
        return Reason.SPOOFED
    if operation != 1 or target & policy.subnet_mask != policy.subnet:
        return Reason.ARP
    return None if station in (_EVERYBODY, policy.gateway_mac) else Reason.WRONG_STATION


def _judge_ipv4(frame: bytes | bytearray | memoryview, policy: EgressPolicy, station: bytes) -> Verdict:
    size = len(frame)
    if size < ETHERNET_HEADER + 20:
        return _DROPS[Reason.MALFORMED]
    kind, _, total, _, fragment, ttl, protocol, _, source, destination = _IPV4.unpack_from(frame, ETHERNET_HEADER)
    wrong = (
        (None if kind == 0x45 else Reason.IP_OPTIONS if 0x45 < kind <= 0x4F else Reason.MALFORMED)
        or (None if source == policy.guest else Reason.SPOOFED)
        or (Reason.FRAGMENT if fragment & ~_DO_NOT_FRAGMENT else None)
        or (Reason.MALFORMED if ttl == 0 or _wrong_sizes(size, total) or _wrong_checksum(frame) else None)
        or (None if station == policy.gateway_mac else _group_reason(station))
        or _wrong_in_transport(frame, protocol, total - 20)
    )
    if wrong is not None:
        return _DROPS[wrong]
    if destination == policy.dns and protocol != ICMP and _destination_port(frame) == DNS_PORT:
        return _ANSWER_DNS if protocol == UDP else _STREAM_DNS
    reason = policy.forbidden.find(destination)
    if reason is None:
        return _FORWARD
    return _DROPS[reason] if reason in _SILENT else _REFUSALS[reason]


def _wrong_sizes(size: int, total: int) -> bool:
    """Whether an IP packet of `total` bytes does not fill its frame of `size` bytes, padding of short frames aside."""
    end = ETHERNET_HEADER + total
    return total < 20 or end > size or (end < size and size > SHORTEST_PADDED)


def _wrong_checksum(frame: bytes | bytearray | memoryview) -> bool:
    return bool(sum(_IPV4_WORDS.unpack_from(frame, ETHERNET_HEADER)) % 0xFFFF)


def _group_reason(station: bytes) -> Reason:
    if station == _EVERYBODY:
        return Reason.BROADCAST
    return Reason.MULTICAST if station[0] & 1 else Reason.WRONG_STATION


def _destination_port(frame: bytes | bytearray | memoryview) -> int:
    return frame[ETHERNET_HEADER + 22] << 8 | frame[ETHERNET_HEADER + 23]


def _wrong_in_transport(frame: bytes | bytearray | memoryview, protocol: int, size: int) -> Reason | None:
    """What is wrong with the `size` bytes behind the IP header, or None."""
    start = ETHERNET_HEADER + 20
    if protocol not in _TRANSPORT_HEADERS:
        return Reason.PROTOCOL
    if size < _TRANSPORT_HEADERS[protocol]:
        return Reason.MALFORMED
    source_port, port, length = _PORTS_AND_LENGTH.unpack_from(frame, start)
    if protocol == ICMP:  # echo request is the only ICMP that passt carries
        return None if (frame[start], frame[start + 1]) == (8, 0) else Reason.PROTOCOL
    if not source_port or not port:
        return Reason.MALFORMED
    if protocol == UDP:
        return None if length == size else Reason.MALFORMED
    return None if 20 <= (frame[start + 12] >> 4) * 4 <= size else Reason.MALFORMED
