"""Finding the beginning of a session in a stream of leftovers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from banger.guest.frames import PADDING, SYNC_HOST, SYNC_PEER
from banger.guest.synchroniser import Synchroniser

ONE, TWO = b"1" * 16, b"2" * 16


def test_the_question_is_padded_on_a_later_connection_only() -> None:
    assert Synchroniser().ask(ONE, padding=False) == SYNC_HOST + ONE
    assert Synchroniser().ask(ONE, padding=True) == bytes(PADDING) + SYNC_HOST + ONE


@given(st.binary(max_size=100), st.binary(max_size=100), st.integers(1, 40))
def test_leftovers_before_the_answer_are_thrown_away(before: bytes, after: bytes, step: int) -> None:
    synchroniser = Synchroniser()
    synchroniser.ask(ONE, padding=False)
    wire = before + SYNC_PEER + ONE + after
    rest = None
    position = 0
    while rest is None:
        assert position < len(wire)
        rest = synchroniser.feed(wire[position : position + step])
        position += step
    assert rest + wire[position:] == after


def test_only_the_answer_to_the_last_question_counts_but_an_older_one_is_heard() -> None:
    synchroniser = Synchroniser()
    synchroniser.ask(ONE, padding=False)
    synchroniser.ask(TWO, padding=False)
    assert synchroniser.feed(SYNC_PEER + ONE + b"greeting") is None
    assert synchroniser.heard
    assert synchroniser.feed(SYNC_PEER + TWO + b"greeting") == b"greeting"


def test_both_answers_in_one_piece() -> None:
    synchroniser = Synchroniser()
    synchroniser.ask(ONE, padding=False)
    synchroniser.ask(TWO, padding=False)
    assert synchroniser.feed(SYNC_PEER + ONE + b"greeting" + SYNC_PEER + TWO + b"!") == b"!"


@given(st.lists(st.binary(max_size=80)))
def test_endless_garbage_is_not_collected(pieces: list[bytes]) -> None:
    synchroniser = Synchroniser()
    synchroniser.ask(ONE, padding=False)
    for piece in pieces:
        assert synchroniser.feed(piece) is None
        assert len(synchroniser._tail) < 32
    assert not synchroniser.heard
