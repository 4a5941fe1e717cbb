"""The verdict on a guest's frame, case by case. Frames are made here: the rules share no code with the tests."""

from __future__ import annotations

import struct
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest

from banger.network.plan import DEFAULT_NETWORK
from banger.network.policy import Action, Verdict, egress_policy, judge_frame
from banger.network.ranges import Reason

GUEST_MAC = bytes.fromhex("02626700020f")
GATEWAY_MAC = bytes.fromhex("026267000202")
EVERYBODY = b"\xff" * 6
HOST = (IPv4Network("198.51.100.2/32"), IPv4Network("203.0.113.64/28"))
POLICY = egress_policy(DEFAULT_NETWORK, host=HOST)


def internet_sum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ipv4(
    destination: str = "203.0.113.10",
    *,
    source: str = "10.0.2.15",
    protocol: int = 6,
    payload: bytes | None = None,
    first: int = 0x45,
    total: int | None = None,
    fragment: int = 0x4000,
    ttl: int = 64,
    options: bytes = b"",
    station: bytes = GATEWAY_MAC,
    sender: bytes = GUEST_MAC,
    checksum: int | None = None,
) -> bytes:
    if payload is None:
        payload = {6: tcp(443), 17: udp(443)}.get(protocol, bytes(20))
    size = 20 + len(options) + len(payload) if total is None else total
    addresses = IPv4Address(source).packed + IPv4Address(destination).packed
    header = struct.pack("!BBHHHBBH", first, 0, size, 7, fragment, ttl, protocol, 0) + addresses + options
    value = internet_sum(header) if checksum is None else checksum
    return station + sender + b"\x08\x00" + header[:10] + value.to_bytes(2, "big") + header[12:] + payload


def tcp(port: int, *, source: int = 40000, words: int = 5, rest: bytes = b"") -> bytes:
    return struct.pack("!HHIIBBHHH", source, port, 1, 0, words << 4, 2, 1000, 0, 0) + rest


def udp(port: int, *, source: int = 40000, data: bytes = b"hello", length: int | None = None) -> bytes:
    return struct.pack("!HHHH", source, port, 8 + len(data) if length is None else length, 0) + data


def arp(
    target: str = "10.0.2.2",
    *,
    operation: int = 1,
    sender: str = "10.0.2.15",
    sender_mac: bytes = GUEST_MAC,
    station: bytes = EVERYBODY,
    kind: tuple[int, int, int, int] = (1, 0x0800, 6, 4),
) -> bytes:
    body = struct.pack("!HHBBH", *kind, operation) + sender_mac + IPv4Address(sender).packed
    return station + GUEST_MAC + b"\x08\x06" + body + bytes(6) + IPv4Address(target).packed


@pytest.mark.parametrize(
    "frame",
    [
        ipv4("203.0.113.10"),
        ipv4("8.8.8.8", protocol=17),
        ipv4("8.8.8.8", protocol=17, payload=udp(53)),
        ipv4("9.255.255.255"),
        ipv4("11.0.0.0"),
        ipv4("172.15.255.255"),
        ipv4("172.32.0.0"),
        ipv4("192.167.255.255"),
        ipv4("192.169.0.0"),
        ipv4("223.255.255.255"),
        ipv4("126.255.255.255"),
        ipv4("169.253.255.255"),
        ipv4("168.63.129.17"),
        ipv4("198.51.100.3"),
        ipv4("1.1.1.1", protocol=1, payload=b"\x08\x00" + bytes(14)),
        ipv4(payload=tcp(443, words=8, rest=bytes(12) + b"data")),
        ipv4(fragment=0),
        ipv4(payload=tcp(443)) + bytes(6),  # 54 bytes, padded to 60
        arp(),
        arp("10.0.2.77"),
        arp(sender="0.0.0.0"),
        arp(station=GATEWAY_MAC),
        arp() + bytes(18),
    ],
)
def test_ordinary_traffic_passes(frame: bytes) -> None:
    assert judge_frame(frame, POLICY) == Verdict(Action.FORWARD)


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("198.51.100.2", Reason.HOST),
        ("203.0.113.64", Reason.HOST),
        ("203.0.113.79", Reason.HOST),
        ("10.0.2.2", Reason.GATEWAY),
        ("10.0.2.3", Reason.GATEWAY),
        ("10.0.2.15", Reason.GATEWAY),
        ("10.0.2.255", Reason.GATEWAY),
        ("127.0.0.1", Reason.LOOPBACK),
        ("127.255.255.255", Reason.LOOPBACK),
        ("169.254.169.254", Reason.LINK_LOCAL),
        ("169.254.0.1", Reason.LINK_LOCAL),
        ("100.100.100.200", Reason.METADATA),
        ("168.63.129.16", Reason.METADATA),
        ("192.0.0.192", Reason.SPECIAL),
        ("192.88.99.1", Reason.SPECIAL),
        ("240.0.0.1", Reason.RESERVED),
        ("10.0.0.1", Reason.PRIVATE),
        ("10.255.255.255", Reason.PRIVATE),
        ("172.16.0.1", Reason.PRIVATE),
        ("172.31.255.255", Reason.PRIVATE),
        ("192.168.0.1", Reason.PRIVATE),
        ("100.64.0.1", Reason.PRIVATE),
        ("100.127.255.255", Reason.PRIVATE),
        ("198.18.0.1", Reason.SPECIAL),
        ("198.19.255.255", Reason.SPECIAL),
    ],
)
@pytest.mark.parametrize("protocol", [6, 17])
def test_forbidden_destinations_are_refused(address: str, reason: Reason, protocol: int) -> None:
    assert judge_frame(ipv4(address, protocol=protocol), POLICY) == Verdict(Action.REFUSE, reason)


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("0.0.0.0", Reason.THIS_NETWORK),
        ("0.1.2.3", Reason.THIS_NETWORK),
        ("224.0.0.251", Reason.MULTICAST),
        ("239.255.255.250", Reason.MULTICAST),
        ("255.255.255.255", Reason.BROADCAST),
    ],
)
def test_destinations_that_must_not_be_answered_are_dropped(address: str, reason: Reason) -> None:
    assert judge_frame(ipv4(address, protocol=17), POLICY) == Verdict(Action.DROP, reason)


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (b"", Reason.MALFORMED),
        (bytes(13), Reason.MALFORMED),
        (ipv4(sender=b"\x02" + bytes(5)), Reason.SPOOFED),
        (ipv4(source="10.0.2.16"), Reason.SPOOFED),
        (ipv4(source="8.8.8.8"), Reason.SPOOFED),
        (ipv4(source="127.0.0.1"), Reason.SPOOFED),
        (ipv4("10.0.2.3", source="10.0.2.2", protocol=17, payload=udp(53)), Reason.SPOOFED),
        (ipv4(station=EVERYBODY), Reason.BROADCAST),
        (ipv4(station=bytes.fromhex("01005e000001")), Reason.MULTICAST),
        (ipv4(station=b"\x02" + bytes(5)), Reason.WRONG_STATION),
        (ipv4(fragment=0x2000), Reason.FRAGMENT),
        (ipv4(fragment=0x0001), Reason.FRAGMENT),
        (ipv4(fragment=0x8000), Reason.FRAGMENT),
        (ipv4(first=0x46, options=b"\x83\x03\x04\x00"), Reason.IP_OPTIONS),
        (ipv4(first=0x4F, options=bytes(40)), Reason.IP_OPTIONS),
        (ipv4(first=0x44), Reason.MALFORMED),
        (ipv4(first=0x65), Reason.MALFORMED),
        (ipv4(ttl=0), Reason.MALFORMED),
        (ipv4(checksum=0x1234), Reason.MALFORMED),
        (ipv4(total=2000), Reason.MALFORMED),
        (ipv4(total=10), Reason.MALFORMED),
        (ipv4(payload=tcp(443, rest=bytes(60))) + b"behind the packet", Reason.MALFORMED),
        (ipv4()[:33], Reason.MALFORMED),
        (ipv4(payload=tcp(443)[:19]), Reason.MALFORMED),
        (ipv4(payload=tcp(443, words=4)), Reason.MALFORMED),
        (ipv4(payload=tcp(443, words=6)), Reason.MALFORMED),
        (ipv4(payload=tcp(0)), Reason.MALFORMED),
        (ipv4(payload=tcp(443, source=0)), Reason.MALFORMED),
        (ipv4(protocol=17, payload=udp(0)), Reason.MALFORMED),
        (ipv4(protocol=17, payload=udp(443, length=400)), Reason.MALFORMED),
        (ipv4(protocol=17, payload=udp(443, length=9)), Reason.MALFORMED),
        (ipv4(protocol=17, payload=bytes(7)), Reason.MALFORMED),
        (ipv4(protocol=1, payload=b"\x05\x01" + bytes(14)), Reason.PROTOCOL),
        (ipv4(protocol=1, payload=b"\x08\x01" + bytes(14)), Reason.PROTOCOL),
        (ipv4(protocol=1, payload=bytes(4)), Reason.MALFORMED),
        (ipv4(protocol=2), Reason.PROTOCOL),
        (ipv4(protocol=41), Reason.PROTOCOL),
        (ipv4(protocol=47), Reason.PROTOCOL),
        (ipv4(protocol=132), Reason.PROTOCOL),
        (GATEWAY_MAC + GUEST_MAC + b"\x86\xdd" + bytes(40), Reason.IPV6),
        (GATEWAY_MAC + GUEST_MAC + b"\x81\x00\x00\x01" + ipv4()[12:], Reason.VLAN),
        (GATEWAY_MAC + GUEST_MAC + b"\x88\xa8\x00\x01\x81\x00\x00\x02" + ipv4()[12:], Reason.VLAN),
        (EVERYBODY + GUEST_MAC + b"\x88\xcc" + bytes(50), Reason.ETHERTYPE),
        (GATEWAY_MAC + GUEST_MAC + b"\x00\x26" + bytes(46), Reason.ETHERTYPE),
        (arp(operation=2), Reason.ARP),
        (arp("198.51.100.1"), Reason.ARP),
        (arp(sender="10.0.2.2"), Reason.SPOOFED),
        (arp(sender_mac=GATEWAY_MAC), Reason.SPOOFED),
        (arp(kind=(1, 0x0800, 6, 16)), Reason.MALFORMED),
        (arp(station=b"\x02" + bytes(5)), Reason.WRONG_STATION),
        (arp()[:-1], Reason.MALFORMED),
        (arp() + bytes(40), Reason.MALFORMED),
    ],
)
def test_frames_that_are_wrong_are_dropped(frame: bytes, reason: Reason) -> None:
    assert judge_frame(frame, POLICY) == Verdict(Action.DROP, reason)


def test_the_name_server_is_the_relay_itself() -> None:
    assert judge_frame(ipv4("10.0.2.3", protocol=17, payload=udp(53)), POLICY) == Verdict(Action.ANSWER_DNS)
    assert judge_frame(ipv4("10.0.2.3", payload=tcp(53)), POLICY) == Verdict(Action.STREAM_DNS)


@pytest.mark.parametrize("port", [1, 52, 54, 853, 5353])
def test_nothing_but_dns_reaches_the_name_server(port: int) -> None:
    refused = Verdict(Action.REFUSE, Reason.GATEWAY)
    assert judge_frame(ipv4("10.0.2.3", protocol=17, payload=udp(port)), POLICY) == refused
    assert judge_frame(ipv4("10.0.2.3", payload=tcp(port)), POLICY) == refused


def test_private_networks_open_only_by_policy_and_metadata_never() -> None:
    policy = egress_policy(DEFAULT_NETWORK, host=(IPv4Network("192.168.1.5/32"),), allow_private=True)
    for address in ("10.1.2.3", "172.16.0.1", "192.168.1.6", "100.64.0.1"):
        assert judge_frame(ipv4(address), policy).action is Action.FORWARD
    for address in ("192.168.1.5", "169.254.169.254", "100.100.100.200", "127.0.0.1", "10.0.2.2", "10.0.2.15"):
        assert judge_frame(ipv4(address), policy).action is Action.REFUSE


def test_an_address_that_the_host_gains_is_refused_from_then_on() -> None:
    frame = ipv4("203.0.113.10")
    assert judge_frame(frame, POLICY).action is Action.FORWARD
    later = egress_policy(DEFAULT_NETWORK, host=(*HOST, IPv4Network("203.0.113.10/32")))
    assert judge_frame(frame, later) == Verdict(Action.REFUSE, Reason.HOST)


def test_a_frame_is_judged_alike_however_it_is_held() -> None:
    frame = ipv4("127.0.0.1")
    verdicts = {judge_frame(held, POLICY) for held in (frame, bytearray(frame), memoryview(bytearray(frame)))}
    assert verdicts == {Verdict(Action.REFUSE, Reason.LOOPBACK)}


def test_the_policy_is_a_value() -> None:
    assert egress_policy(DEFAULT_NETWORK, host=HOST) == POLICY
    assert replace(POLICY, dns=1) != POLICY
