"""Frames that the relay makes or changes itself. Pure."""

from __future__ import annotations

import struct
from typing import Final

from banger.network.policy import ARP, ETHERNET_HEADER, ICMP, IPV4, UDP, EgressPolicy

_TCP_CHECKSUM: Final = ETHERNET_HEADER + 20 + 16
_ADMINISTRATIVELY_PROHIBITED: Final = (3, 13)  # RFC 1812 section 5.2.7.1: Linux fails the connection at once


def checksum(data: bytes) -> int:
    """The internet checksum (RFC 1071) of `data`."""
    if len(data) % 2:
        data += b"\0"
    # Sums in ones' complement are sums modulo 0xffff, where a non-zero multiple counts as 0xffff.
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    return ~((total % 0xFFFF) or (0xFFFF if total else 0)) & 0xFFFF


def ipv4_header(*, source: int, destination: int, protocol: int, size: int) -> bytes:
    """A header without options for `size` bytes of payload."""
    header = struct.pack("!BBHHHBBHII", 0x45, 0, 20 + size, 0, 0x4000, 64, protocol, 0, source, destination)
    return header[:10] + checksum(header).to_bytes(2, "big") + header[12:]


def to_guest(policy: EgressPolicy, *, source: int, protocol: int, payload: bytes) -> bytes:
    """An Ethernet frame for the guest that carries an IP packet of `source`."""
    header = ipv4_header(source=source, destination=policy.guest, protocol=protocol, size=len(payload))
    return policy.guest_mac + policy.gateway_mac + IPV4.to_bytes(2, "big") + header + payload


def refusal(frame: bytes | bytearray | memoryview, policy: EgressPolicy, *, gateway: int) -> bytes:
    """The ICMP message that tells the guest's program that `frame` (well-formed IPv4) was refused by policy."""
    quoted = bytes(frame[ETHERNET_HEADER : ETHERNET_HEADER + 28])
    kind, code = _ADMINISTRATIVELY_PROHIBITED
    message = struct.pack("!BBHI", kind, code, 0, 0) + quoted
    message = message[:2] + checksum(message).to_bytes(2, "big") + message[4:]
    return to_guest(policy, source=gateway, protocol=ICMP, payload=message)


def udp_to_guest(policy: EgressPolicy, *, source: int, source_port: int, port: int, payload: bytes) -> bytes:
    """A UDP datagram for the guest, with its checksum."""
    size = 8 + len(payload)
    pseudo = struct.pack("!IIBBH", source, policy.guest, 0, UDP, size)
    header = struct.pack("!HHHH", source_port, port, size, 0)
    value = checksum(pseudo + header + payload) or 0xFFFF  # RFC 768: zero means "none was computed"
    return to_guest(policy, source=source, protocol=UDP, payload=header[:6] + value.to_bytes(2, "big") + payload)


def arp_question(policy: EgressPolicy, *, target: int) -> bytes:
    """An ARP question, in the guest's name, for `target`. passt answers it when it works."""
    body = struct.pack("!HHBBH6sI6sI", 1, IPV4, 6, 4, 1, policy.guest_mac, policy.guest, bytes(6), target)
    return b"\xff" * 6 + policy.guest_mac + ARP.to_bytes(2, "big") + body


def replace_tcp_address(frame: bytearray | memoryview, *, source: bool, address: int) -> None:
    """Change the source or destination address of a TCP frame in place, with both checksums (RFC 1624).

    The caller knows that the frame is well-formed: IPv4 without options, TCP.
    """
    offset = ETHERNET_HEADER + (12 if source else 16)
    new = address.to_bytes(4, "big")
    old = bytes(frame[offset : offset + 4])
    frame[offset : offset + 4] = new
    for position in (ETHERNET_HEADER + 10, _TCP_CHECKSUM):
        _update_checksum(frame, position, old, new)


def acknowledge_in_reset(frame: bytearray | memoryview, acknowledged: int) -> None:
    """Turn a RST without ACK into a RST with ACK for the sequence number `acknowledged`, in place."""
    start = ETHERNET_HEADER + 20 + 8
    new = acknowledged.to_bytes(4, "big") + bytes((frame[start + 4], frame[start + 5] | 0x10))
    old = bytes(frame[start : start + 6])
    frame[start : start + 6] = new
    _update_checksum(frame, _TCP_CHECKSUM, old, new)


def _update_checksum(frame: bytearray | memoryview, position: int, old: bytes, new: bytes) -> None:
    """Adjust the checksum at `position` for the words `old` that became `new` (RFC 1624, equation 3)."""
    total = ~(frame[position] << 8 | frame[position + 1]) & 0xFFFF
    words = f"!{len(old) // 2}H"
    for before, after in zip(struct.unpack(words, old), struct.unpack(words, new), strict=True):
        total += (~before & 0xFFFF) + after
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    frame[position : position + 2] = (~total & 0xFFFF).to_bytes(2, "big")
