"""Frames that the relay makes or changes, read back by an independent checksum."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address

from hypothesis import given
from hypothesis import strategies as st

from banger.network import frames
from banger.network.plan import DEFAULT_NETWORK
from banger.network.policy import egress_policy

POLICY = egress_policy(DEFAULT_NETWORK, host=())
GUEST = IPv4Address("10.0.2.15").packed
GATEWAY = IPv4Address("10.0.2.2")


def ones_complement_sum(data: bytes) -> int:
    """0xffff for data that holds its own right checksum."""
    data += b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def transport_is_right(frame: bytes | bytearray) -> bool:
    payload = bytes(frame[34:])
    pseudo = bytes(frame[26:34]) + bytes((0, frame[23])) + len(payload).to_bytes(2, "big")
    return ones_complement_sum(pseudo + payload) == 0xFFFF


def tcp_frame(*, source: bytes, destination: bytes, flags: int = 0x10, data: bytes = b"") -> bytearray:
    segment = struct.pack("!HHIIBBHHH", 40000, 53, 0xFFFFFFFE, 77, 5 << 4, flags, 512, 0, 0) + data
    pseudo = source + destination + bytes((0, 6)) + len(segment).to_bytes(2, "big")
    value = frames.checksum(pseudo + segment)
    segment = segment[:16] + value.to_bytes(2, "big") + segment[18:]
    header = frames.ipv4_header(
        source=int.from_bytes(source, "big"),
        destination=int.from_bytes(destination, "big"),
        protocol=6,
        size=len(segment),
    )
    return bytearray(POLICY.guest_mac + POLICY.gateway_mac + b"\x08\x00" + header + segment)


@given(st.binary(max_size=300))
def test_checksum_completes_the_sum(data: bytes) -> None:
    even = data + b"\0" * (len(data) % 2)
    total = ones_complement_sum(even + frames.checksum(data).to_bytes(2, "big"))
    assert total == 0xFFFF


def test_checksum_of_the_example_in_rfc_1071() -> None:
    assert frames.checksum(bytes.fromhex("0001f203f4f5f6f7")) == 0x220D


def test_arp_question_is_the_guests() -> None:
    assert frames.arp_question(POLICY, target=int(GATEWAY)).hex() == (
        "ffffffffffff" "02626700020f" "0806" "0001" "0800" "06" "04" "0001"
        "02626700020f" "0a00020f" "000000000000" "0a000202"
    )  # fmt: skip


@given(st.binary(max_size=1500), st.integers(1, 65535))
def test_a_datagram_for_the_guest_is_well_formed(payload: bytes, port: int) -> None:
    frame = frames.udp_to_guest(POLICY, source=POLICY.dns, source_port=53, port=port, payload=payload)
    assert frame[:14].hex() == "02626700020f026267000202" + "0800"
    assert ones_complement_sum(frame[14:34]) == 0xFFFF
    assert transport_is_right(frame)
    assert struct.unpack("!HHH", frame[34:40]) == (53, port, 8 + len(payload))
    assert frame[26:34] == IPv4Address("10.0.2.3").packed + GUEST
    assert frame[42:] == payload


def test_a_refusal_quotes_the_packet() -> None:
    refused = tcp_frame(source=GUEST, destination=IPv4Address("127.0.0.1").packed, data=b"secret")
    frame = frames.refusal(refused, POLICY, gateway=int(GATEWAY))
    assert frame[26:34] == GATEWAY.packed + GUEST
    assert (frame[23], frame[34], frame[35]) == (1, 3, 13)
    assert ones_complement_sum(frame[34:]) == 0xFFFF
    assert frame[42:] == bytes(refused[14:42])


@given(st.integers(0, 2**32 - 1), st.binary(max_size=60), st.booleans())
def test_an_address_is_replaced_with_both_checksums(address: int, data: bytes, source: bool) -> None:
    frame = tcp_frame(source=GUEST, destination=IPv4Address("10.0.2.3").packed, data=data)
    before = bytes(frame)
    frames.replace_tcp_address(frame, source=source, address=address)
    assert ones_complement_sum(bytes(frame[14:34])) == 0xFFFF
    assert transport_is_right(frame)
    place = 26 if source else 30
    assert frame[place : place + 4] == address.to_bytes(4, "big")
    original = before[place : place + 4]
    frames.replace_tcp_address(frame, source=source, address=int.from_bytes(original, "big"))
    assert frame[14:24] + frame[26:34] == before[14:24] + before[26:34]


@given(st.integers(0, 2**32 - 1))
def test_a_reset_gets_its_acknowledgement(sequence: int) -> None:
    frame = tcp_frame(source=IPv4Address("203.0.113.10").packed, destination=GUEST, flags=0x04)
    frames.acknowledge_in_reset(frame, sequence)
    assert frame[47] == 0x14
    assert int.from_bytes(frame[42:46], "big") == sequence
    assert transport_is_right(frame)
