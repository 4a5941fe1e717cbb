"""One direction of the wire, on real sockets: framing, back-pressure, frames of our own in between."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from banger.network.lane import BrokenFraming, Lane

Admit = Callable[[memoryview], bool]


def framed(*frames: bytes) -> bytes:
    return b"".join(len(frame).to_bytes(4, "big") + frame for frame in frames)


class Wire:
    """A lane between two socket pairs, with a test at the far end of each."""

    def __init__(self, admit: Admit, stack: ExitStack) -> None:
        self.sender, source = (stack.enter_context(end) for end in socket.socketpair())
        sink, self.receiver = (stack.enter_context(end) for end in socket.socketpair())
        for end in (source, sink, self.receiver):
            end.setblocking(False)
        self.lane = Lane(source=source, sink=sink, admit=admit)

    def received(self) -> bytes:
        data = b""
        while True:
            try:
                more = self.receiver.recv(1 << 20)
            except BlockingIOError:
                return data
            if not more:
                return data
            data += more


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def test_only_admitted_frames_pass_in_their_order(stack: ExitStack) -> None:
    wire = Wire(lambda frame: frame[0] != 2, stack)
    frames = [bytes((kind,)) * size for kind, size in ((1, 14), (2, 60), (1, 1500), (2, 14), (2, 70), (3, 65549))]
    wire.sender.sendall(framed(*frames))
    assert wire.lane.read()
    assert wire.received() == framed(*(frame for frame in frames if frame[0] != 2))


@given(
    st.lists(st.tuples(st.booleans(), st.integers(14, 300)), max_size=12), st.lists(st.integers(1, 400), max_size=30)
)
def test_frames_survive_any_cutting(frames: list[tuple[bool, int]], cuts: list[int]) -> None:
    with ExitStack() as stack:
        wire = Wire(lambda frame: frame[0] == 1, stack)
        made = [
            bytes((good,)) + index.to_bytes(13, "big") + bytes(size - 14) for index, (good, size) in enumerate(frames)
        ]
        data = framed(*made)
        for cut in cuts:
            piece, data = data[:cut], data[cut:]
            if piece:
                wire.sender.sendall(piece)
                assert wire.lane.read()
        if data:
            wire.sender.sendall(data)
            assert wire.lane.read()
        assert wire.received() == framed(*(frame for frame in made if frame[0]))
        assert wire.lane.seen_bytes == sum(map(len, made))


@pytest.mark.parametrize("size", [0, 13, 65550, 0xFFFFFFFF])
def test_an_impossible_length_ends_it(size: int, stack: ExitStack) -> None:
    wire = Wire(lambda _: True, stack)
    wire.sender.sendall(size.to_bytes(4, "big") + bytes(20))
    with pytest.raises(BrokenFraming):
        wire.lane.read()


def test_the_end_of_the_stream_is_told(stack: ExitStack) -> None:
    wire = Wire(lambda _: True, stack)
    assert wire.lane.read()
    wire.sender.close()
    assert not wire.lane.read()


def test_a_slow_receiver_costs_bounded_memory_and_loses_nothing(stack: ExitStack) -> None:
    wire = Wire(lambda _: True, stack)
    frame = framed(bytes(60000))
    sent = 0
    while wire.lane.has_room:
        assert sent < 400, "it never stopped taking frames"
        wire.sender.sendall(frame)
        wire.lane.read()
        sent += 1
    received = b""
    while wire.lane.blocked:
        received += wire.received()
        wire.lane.flush()
    received += wire.received()
    assert received == frame * sent
    wire.sender.sendall(frame)
    wire.lane.read()
    assert wire.received() == frame


def test_our_own_frames_go_between_whole_ones(stack: ExitStack) -> None:
    wire = Wire(lambda _: True, stack)
    first, ours, last = b"a" * 20, b"o" * 20, b"z" * 20
    data = framed(first, last)
    wire.sender.sendall(data[:30])
    wire.lane.read()
    wire.lane.inject(ours)
    wire.lane.flush()
    wire.sender.sendall(data[30:])
    wire.lane.read()
    assert wire.received() == framed(first, ours, last)
    assert wire.lane.seen_bytes == 60


def test_our_own_frames_are_bounded(stack: ExitStack) -> None:
    wire = Wire(lambda _: True, stack)
    for _ in range(10000):
        wire.lane.inject(bytes(100))
    wire.lane.flush()
    assert len(wire.received()) == 256 * 104
    assert wire.lane.seen_bytes == 256 * 100


def test_a_frame_may_be_changed_in_place(stack: ExitStack) -> None:
    def change(frame: memoryview) -> bool:
        frame[0] = 9
        return True

    wire = Wire(change, stack)
    wire.sender.sendall(framed(bytes(20)))
    wire.lane.read()
    assert wire.received() == framed(b"\x09" + bytes(19))
