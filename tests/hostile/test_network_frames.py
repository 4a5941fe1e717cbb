"""Frames as a hostile guest writes them. What passes must be harmless by an independent reading."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv4Network

from hypothesis import given, settings
from hypothesis import strategies as st

from banger.network.plan import DEFAULT_NETWORK
from banger.network.policy import Action, egress_policy, judge_frame

HOST = (IPv4Network("198.51.100.2/32"), IPv4Network("203.0.113.64/28"))
POLICY = egress_policy(DEFAULT_NETWORK, host=HOST)
GUEST_MAC = bytes.fromhex("02626700020f")
GATEWAY_MAC = bytes.fromhex("026267000202")


def check_passed(frame: bytes) -> None:
    """What must be true of every frame that goes out, written with the standard library's idea of addresses."""
    assert frame[6:12] == GUEST_MAC
    ethertype = int.from_bytes(frame[12:14], "big")
    if ethertype == 0x0806:
        assert frame[20:22] == b"\0\x01"
        assert frame[22:28] == GUEST_MAC
        assert IPv4Address(frame[38:42]) in IPv4Network("10.0.2.0/24")
        return
    assert ethertype == 0x0800
    assert frame[0:6] == GATEWAY_MAC
    assert frame[14] == 0x45
    assert int.from_bytes(frame[20:22], "big") & 0x3FFF == 0
    assert frame[23] in (1, 6, 17)
    assert str(IPv4Address(frame[26:30])) == "10.0.2.15"
    destination = IPv4Address(frame[30:34])
    # is_global is False for the documentation networks too, which stand in for the internet in tests
    documentation = any(
        destination in IPv4Network(network) for network in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")
    )
    assert destination.is_global or documentation
    assert not destination.is_multicast
    assert not any(destination in network for network in HOST)


def frame_of(
    *, station: bytes, sender: bytes, kind: int, header: tuple[int, ...], source: int, destination: int, rest: bytes
) -> bytes:
    body = struct.pack("!BBHHHBBH", *header) + source.to_bytes(4, "big") + destination.to_bytes(4, "big")
    if header[-1] == 0:  # mostly a right checksum, so that the later rules are reached
        total = sum(struct.unpack("!10H", body))
        while total > 0xFFFF:
            total = (total & 0xFFFF) + (total >> 16)
        body = body[:10] + (~total & 0xFFFF).to_bytes(2, "big") + body[12:]
    return station + sender + kind.to_bytes(2, "big") + body + rest


INTERESTING = st.sampled_from(
    [
        int(IPv4Address(text))
        for text in (
            "0.0.0.0", "10.0.2.2", "10.0.2.3", "10.0.2.15", "10.1.1.1", "100.64.0.1", "100.100.100.200", "127.0.0.1",
            "168.63.129.16", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.168.1.1",
            "198.18.0.1", "198.51.100.2", "203.0.113.10", "203.0.113.70", "224.0.0.1", "239.1.1.1", "240.0.0.1",
            "255.255.255.255", "8.8.8.8",
        )
    ]
)  # fmt: skip
ADDRESSES = INTERESTING | st.integers(0, 2**32 - 1)
GUEST = st.just(int(IPv4Address("10.0.2.15")))


@st.composite
def packets(draw: st.DrawFn) -> bytes:
    rest = draw(st.binary(min_size=8, max_size=60))
    if draw(st.booleans()):  # a well-formed start of a transport header
        rest = (
            struct.pack("!HHH", draw(st.integers(1, 65535)), draw(st.sampled_from([53, 80, 443])), len(rest)) + rest[6:]
        )
    header = (
        draw(st.just(0x45) | st.integers(0, 255)),
        0,
        draw(st.just(20 + len(rest)) | st.integers(0, 65535)),
        draw(st.integers(0, 65535)),
        draw(st.sampled_from([0, 0x4000, 0x4000, 0x2000, 1, 0x8000])),
        draw(st.sampled_from([64, 64, 1, 0])),
        draw(st.sampled_from([6, 17, 1, 2, 41, 47]) | st.integers(0, 255)),
        draw(st.sampled_from([0, 0, 0, 1])),
    )
    return frame_of(
        station=draw(st.just(GATEWAY_MAC) | st.binary(min_size=6, max_size=6)),
        sender=draw(st.just(GUEST_MAC) | st.binary(min_size=6, max_size=6)),
        kind=draw(st.just(0x0800) | st.sampled_from([0x0806, 0x86DD, 0x8100]) | st.integers(0, 65535)),
        header=header,
        source=draw(GUEST | ADDRESSES),
        destination=draw(ADDRESSES),
        rest=rest,
    )


@settings(max_examples=2000, deadline=None)
@given(packets())
def test_what_passes_is_harmless(frame: bytes) -> None:
    if judge_frame(frame, POLICY).action is Action.FORWARD:
        check_passed(frame)


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=200))
def test_noise_never_passes_and_never_raises(frame: bytes) -> None:
    verdict = judge_frame(frame, POLICY)
    if verdict.action is Action.FORWARD:
        check_passed(frame)


@settings(max_examples=1500, deadline=None)
@given(packets(), st.integers(0, 90), st.integers(0, 255), st.integers(0, 110))
def test_changed_and_cut_frames_pass_only_when_harmless(frame: bytes, position: int, value: int, cut: int) -> None:
    changed = bytearray(frame)
    changed[position % len(changed)] = value
    shorter = bytes(changed[:cut])
    for candidate in (bytes(changed), shorter):
        if judge_frame(candidate, POLICY).action is Action.FORWARD:
            check_passed(candidate)


@settings(max_examples=1000, deadline=None)
@given(ADDRESSES, st.sampled_from([6, 17]))
def test_a_well_formed_packet_passes_exactly_to_what_is_not_forbidden(destination: int, protocol: int) -> None:
    ports = struct.pack("!HH", 4000, 443)
    rest = ports + bytes(8) + b"\x50\x02" + bytes(6) if protocol == 6 else ports + b"\x00\x08\x00\x00"
    header = (0x45, 0, 20 + len(rest), 1, 0x4000, 64, protocol, 0)
    frame = frame_of(
        station=GATEWAY_MAC,
        sender=GUEST_MAC,
        kind=0x0800,
        header=header,
        source=int(IPv4Address("10.0.2.15")),
        destination=destination,
        rest=rest,
    )
    verdict = judge_frame(frame, POLICY)
    assert (verdict.action is Action.FORWARD) == (POLICY.forbidden.find(destination) is None)
    if verdict.action is Action.FORWARD:
        check_passed(frame)
