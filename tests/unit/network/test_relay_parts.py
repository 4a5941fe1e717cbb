"""The small parts of the relay: plans, what the kernel says of its routes, handshakes, the bounded log."""

from __future__ import annotations

import os
import socket
import struct
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from banger.network.denials import Denials, Log
from banger.network.gate import describe
from banger.network.handshakes import LIMIT, Handshakes
from banger.network.kernel_addresses import parse_routes, read_local_networks
from banger.network.plan import DEFAULT_NETWORK, passt_argv, relay_argv
from banger.network.ranges import ALWAYS, INWARD, AddressTable, Reason, forbidden_table


def test_passt_command_line() -> None:
    assert " ".join(passt_argv(DEFAULT_NETWORK, fd=7, passt="/usr/bin/passt")) == (
        "prlimit --nofile=4096:4096 --core=0:0 -- /usr/bin/passt --foreground --fd 7 --ipv4-only --address 10.0.2.15 "
        "--netmask 24 --gateway 10.0.2.2 --mac-addr 02:62:67:00:02:02 --mtu 65520 --dns 10.0.2.3 --no-dhcp --no-map-gw "
        "--tcp-ports none --udp-ports none"
    )


def test_relay_command_line() -> None:
    argv = relay_argv(
        python="/venv/bin/python",
        vm_id="0000-1",
        listener=3,
        passt=4,
        passt_pidfd=5,
        passt_messages=6,
        traffic=7,
        allow_private=True,
    )
    assert " ".join(argv) == (
        "/venv/bin/python -S -P -s -m banger.network.relay --vm=0000-1 --listener=3 --passt=4 --passt-pidfd=5 "
        "--passt-messages=6 --traffic=7 --allow-private"
    )


def route(destination: str, *, kind: int = 2, family: int = socket.AF_INET) -> bytes:
    network = IPv4Network(destination)
    attribute = struct.pack("=HH", 8, 1) + network.network_address.packed
    body = struct.pack("=BBBBBBBBI", family, network.prefixlen, 0, 0, 255, 2, 254, kind, 0)
    body += struct.pack("=HHI", 8, 15, 255) + attribute
    return struct.pack("=IHHII", 16 + len(body), 24, 2, 1, 0) + body


DONE = struct.pack("=IHHIIi", 20, 3, 2, 1, 0, 0)


def test_local_routes_are_read_and_others_left_out() -> None:
    data = (
        route("127.0.0.0/8")
        + route("198.51.100.2/32")
        + route("0.0.0.0/0", kind=1)
        + route("198.51.100.255/32", kind=3)
    )
    assert parse_routes(data) == ([IPv4Network("127.0.0.0/8"), IPv4Network("198.51.100.2/32")], False)
    assert parse_routes(data + DONE)[1]


def test_an_error_of_the_kernel_is_raised() -> None:
    with pytest.raises(PermissionError):
        parse_routes(struct.pack("=IHHIIi", 20, 2, 0, 1, 0, -1))


@given(st.binary(max_size=100))
def test_no_bytes_raise_more_than_they_may(data: bytes) -> None:
    with suppress(OSError, ValueError):
        parse_routes(data)


def test_this_kernel_names_loopback_as_its_own() -> None:
    networks = read_local_networks()
    assert any(IPv4Address("127.0.0.1") in network for network in networks)


@given(st.integers(0, 2**32 - 1))
def test_the_table_agrees_with_the_standard_library(address: int) -> None:
    networks = {IPv4Network(text): reason for text, reason in {**ALWAYS, **INWARD}.items()}
    holding = [network for network in networks if IPv4Address(address) in network]
    table = AddressTable.of(networks.items())
    expected = networks[max(holding, key=lambda network: network.prefixlen)] if holding else None
    assert table.find(address) is expected
    assert (IPv4Address(address) in table) == bool(holding)


def test_the_host_comes_before_every_other_reason() -> None:
    subnet = DEFAULT_NETWORK.address.network
    table = forbidden_table(host=[IPv4Network("192.168.0.0/16"), subnet], subnet=subnet, allow_private=False)
    assert table.find(int(IPv4Address("192.168.3.4"))) is Reason.HOST
    assert table.find(int(IPv4Address("10.0.2.2"))) is Reason.HOST


def segment(*, flags: int, source: str, destination: str, ports: tuple[int, int], sequence: int = 5) -> memoryview:
    header = struct.pack("!BBHHHBBH", 0x45, 0, 40, 0, 0, 64, 6, 0)
    header += IPv4Address(source).packed + IPv4Address(destination).packed
    body = struct.pack("!HHIIBBHHH", *ports, sequence, 0, 5 << 4, flags, 100, 0, 0)
    return memoryview(bytearray(bytes(12) + b"\x08\x00" + header + body))


def acknowledged(frame: memoryview) -> tuple[int, int]:
    return frame[47], int.from_bytes(frame[42:46], "big")


def syn(port: int, *, sequence: int = 5) -> memoryview:
    return segment(flags=2, source="10.0.2.15", destination="203.0.113.10", ports=(port, 80), sequence=sequence)


def reset(port: int, *, flags: int = 4) -> memoryview:
    return segment(flags=flags, source="203.0.113.10", destination="10.0.2.15", ports=(80, port))


def test_a_refusal_of_a_connection_is_completed_once() -> None:
    handshakes = Handshakes()
    handshakes.note(syn(4000, sequence=0xFFFFFFFF))
    first, second, other = reset(4000), reset(4000), reset(4001)
    for frame in (first, second, other):
        handshakes.complete(frame)
    assert acknowledged(first) == (0x14, 0)
    assert acknowledged(second) == (0x04, 0)
    assert acknowledged(other) == (0x04, 0)


def test_what_is_complete_or_established_stays_as_it_is() -> None:
    handshakes = Handshakes()
    handshakes.note(syn(4000))
    complete = reset(4000, flags=0x14)
    handshakes.complete(complete)
    assert acknowledged(complete) == (0x14, 0)
    handshakes.note(syn(4001))
    handshakes.complete(reset(4001, flags=0x12))  # SYN and ACK: accepted
    later = reset(4001)
    handshakes.complete(later)
    assert acknowledged(later) == (0x04, 0)


def test_a_flood_of_connection_requests_is_forgotten_oldest_first() -> None:
    handshakes = Handshakes()
    for port in range(1, LIMIT + 2):
        handshakes.note(syn(port))
    forgotten, kept = reset(1), reset(2)
    handshakes.complete(forgotten)
    handshakes.complete(kept)
    assert acknowledged(forgotten)[0] == 0x04
    assert acknowledged(kept)[0] == 0x14


def test_the_log_is_bounded_and_printable(tmp_path: Path) -> None:
    path = tmp_path / "log"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    log = Log(fd, limit=60)
    log.write("a\x1b[31mb\nc")
    for _ in range(100):
        log.write("x" * 30)
    os.close(fd)
    text = path.read_text()
    assert text.startswith("a\\x1b[31mb\\nc\n")
    assert len(text) <= 60


def test_a_log_that_cannot_be_written_disturbs_nobody() -> None:
    reading, writing = os.pipe()
    os.close(writing)
    Log(reading).write("text")
    os.close(reading)


def test_denials_are_counted_and_few_are_shown() -> None:
    lines: list[str] = []
    denials = Denials(lines.append)
    assert denials.summary() == "nothing was refused"
    for number in range(1, 1001):
        denials.add(Reason.HOST, lambda number=number: f"frame {number}")  # type: ignore[misc]  # bound on purpose
    denials.add(Reason.IPV6, lambda: "frame")
    assert lines[:2] == ["refused (the host itself): frame 1", "refused (the host itself): frame 2"]
    assert [line for line in lines if "times now" in line] == [
        "refused (the host itself): 10 times now, last frame 10",
        "refused (the host itself): 100 times now, last frame 100",
        "refused (the host itself): 1000 times now, last frame 1000",
    ]
    assert denials.summary() == "refused: the host itself 1000, IPv6 1"


def test_frames_are_described_in_words() -> None:
    assert describe(syn(4000)) == "TCP port 80 from 10.0.2.15 to 203.0.113.10"
    assert describe(memoryview(bytes(12) + b"\x86\xdd" + bytes(40))) == "ethertype 0x86dd, 54 bytes"
    assert describe(memoryview(b"short")) == "ethertype 0x0000, 5 bytes"
