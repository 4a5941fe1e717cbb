"""A guest's words about itself: believed in their shape only."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from banger.guest.frames import ProtocolViolation, number
from banger.guest.info import NUMBER_LIMIT, Listener, parse_info

TCP = b"""  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 111 1 0 100 0 0 10 0
   1: 0100007F:1F90 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 112 1 0 100 0 0 10 0
"""
TCP6 = b"""  sl  local_address                         remote_address                        st
   0: 00000000000000000000000001000000:1F90 00000000000000000000000000000000:0000 0A 0:0 00:0 0 0 0 113 1 0
"""


def test_listeners_memory_and_load() -> None:
    info = parse_info(
        [
            (20, b"0.50 0.25 0.10 1/50 123\n"),
            (21, b"MemTotal:  1000 kB\nMemAvailable:  600 kB\n"),
            (22, b"12.34 20.00\n"),
            (23, TCP),
            (24, TCP6),
            (27, b"111 42 sshd\x1b[2J"),
            (28, number(7)),
            (29, number(4096) + number(1000) + number(400)),
            (30, b"6.1.0"),
        ]
    )
    assert info.load == (0.5, 0.25, 0.1)
    assert (info.memory_total_bytes, info.memory_available_bytes) == (1_024_000, 614_400)
    assert (info.uptime_s, info.process_count, info.kernel) == (12.34, 7, "6.1.0")
    assert (info.root_total_bytes, info.root_free_bytes) == (4_096_000, 1_638_400)
    assert info.listeners == (
        Listener(protocol="tcp", address="0.0.0.0", port=22, pid=42, process="sshd\\x1b[2J"),
        Listener(protocol="tcp", address="::1", port=8080, pid=None, process=""),
    )


def test_nothing_said_is_nothing_known() -> None:
    info = parse_info([])
    assert (info.load, info.uptime_s, info.listeners, info.kernel) == ((), 0.0, (), "")


@pytest.mark.parametrize("text", [b"nan inf 1e999", b"-1 2 3", b"0x10", b"1_0", "\u0661".encode()])
def test_strange_numbers_are_no_numbers(text: bytes) -> None:
    info = parse_info([(20, text), (22, text)])
    assert (info.load, info.uptime_s) == ((), 0.0)


@given(st.lists(st.tuples(st.sampled_from([*range(20, 31)]), st.binary(max_size=200))))
def test_any_answer_can_be_shown_as_json(fields: list[tuple[int, bytes]]) -> None:
    try:
        info = parse_info(fields)
    except ProtocolViolation:
        return
    assert all(math.isfinite(load) for load in info.load)
    assert 0 <= info.root_total_bytes <= NUMBER_LIMIT
    assert info.process_count <= NUMBER_LIMIT
    assert all(0 < listener.port <= 65_535 for listener in info.listeners)
    json.dumps([info.load, info.uptime_s, info.kernel], allow_nan=False)


def test_a_port_out_of_range_is_no_listener() -> None:
    assert parse_info([(23, TCP.replace(b":0016", b":FFFFF"))]).listeners == ()
