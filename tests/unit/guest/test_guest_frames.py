"""The codec: what is encoded is decoded, and any bytes at all give frames or one kind of error."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from banger.guest.frames import (
    FRAME_LIMIT,
    HEADER_SIZE,
    Frame,
    FrameDecoder,
    FrameType,
    ProtocolViolation,
    decode_fields,
    encode_fields,
    encode_frame,
    encode_header,
    find_number,
    find_text,
    number,
)

frames = st.builds(
    Frame,
    type=st.sampled_from(FrameType),
    channel=st.integers(0, 255),
    stream=st.integers(0, 0xFFFF_FFFF),
    payload=st.binary(max_size=300),
)


def encode(frame: Frame) -> bytes:
    return encode_frame(frame.type, frame.stream, frame.payload, channel=frame.channel)


def test_a_frame_has_the_layout_of_the_page() -> None:
    assert encode_frame(FrameType.DATA, 0x01020304, b"hi", channel=1) == (
        b"\x05\x01" + (0xB35A ^ 5 ^ 0x100).to_bytes(2, "little") + b"\x04\x03\x02\x01" + b"\x02\x00\x00\x00" + b"hi"
    )


@given(st.lists(frames, max_size=20), st.data())
def test_frames_survive_any_cutting(sent: list[Frame], data: st.DataObject) -> None:
    wire = b"".join(map(encode, sent))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=10)))
    decoder = FrameDecoder()
    received: list[Frame] = []
    for start, end in zip([0, *cuts], [*cuts, len(wire)], strict=True):
        received += decoder.feed(wire[start:end])
    assert received == sent


@given(st.lists(st.one_of(st.binary(max_size=200), frames.map(encode)), max_size=10))
def test_any_bytes_give_frames_or_a_violation(pieces: list[bytes]) -> None:
    decoder = FrameDecoder()
    try:
        for piece in pieces:
            for frame in decoder.feed(piece):
                assert len(frame.payload) <= FRAME_LIMIT
            assert len(decoder._held) < HEADER_SIZE + FRAME_LIMIT
    except ProtocolViolation:
        pass


def test_good_frames_before_bad_bytes_are_delivered() -> None:
    feeding = FrameDecoder().feed(encode_frame(FrameType.EOF, 1) + b"\xff" * HEADER_SIZE)
    assert next(feeding) == Frame(FrameType.EOF, 0, 1, b"")
    with pytest.raises(ProtocolViolation):
        next(feeding)


@pytest.mark.parametrize(
    "head",
    [
        encode_header(FrameType.DATA, 0, 1, FRAME_LIMIT + 1),
        encode_header(FrameType.DATA, 0, 1, 0xFFFF_FFFF),
        encode_header(0, 0, 1, 0),
        encode_header(12, 0, 1, 0),
        bytes(HEADER_SIZE),
    ],
)
def test_impossible_heads_are_refused_before_their_payload(head: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        list(FrameDecoder().feed(head))


def test_the_largest_frame_is_held_until_it_is_whole() -> None:
    wire = encode_frame(FrameType.DATA, 1, bytes(FRAME_LIMIT))
    decoder = FrameDecoder()
    assert list(decoder.feed(wire[:-1])) == []
    assert list(decoder.feed(wire[-1:])) == [Frame(FrameType.DATA, 0, 1, bytes(FRAME_LIMIT))]
    assert not decoder._held


@given(st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=50)), max_size=20))
def test_fields_survive(fields: list[tuple[int, bytes]]) -> None:
    assert decode_fields(encode_fields(fields)) == fields


@given(st.binary(max_size=100))
def test_any_bytes_give_fields_or_a_violation(payload: bytes) -> None:
    with suppress(ProtocolViolation):
        assert encode_fields(decode_fields(payload)) == payload


def test_numbers_have_eight_bytes() -> None:
    assert find_number([(1, number(7)), (1, number(8))], 1) == 7
    assert find_number([], 1) is None
    with pytest.raises(ProtocolViolation):
        find_number([(1, b"\x01")], 1)


def test_text_is_cut_and_never_fails_to_decode() -> None:
    assert find_text([(4, b"\xff" * 100)], 4, limit=2) == "\\xff\\xff"
    assert find_text([], 4) == ""
