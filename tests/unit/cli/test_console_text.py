from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from banger.cli.console_text import LINE_LIMIT, RETURNS_LIMIT, ConsoleText, NamedLines, clean_console

PIECES = st.sampled_from(
    [
        b"\x1b",
        b"[",
        b"]",
        b"0;31",
        b"m",
        b"\x07",
        b"\\",
        b"\r",
        b"\r" * 70,
        b"\n",
        b"text",
        b"\xc3",
        b"\xbc",
        b"(",
        b"B",
        b" ",
        b"\x9b",
    ]
)


@given(console=st.lists(PIECES, max_size=40).map(b"".join), cuts=st.lists(st.integers(0, 120), max_size=8))
def test_it_does_not_matter_how_it_comes_in_pieces(console: bytes, cuts: list[int]) -> None:
    text = ConsoleText()
    places = [0, *sorted(min(cut, len(console)) for cut in cuts), len(console)]
    shown = "".join(text.feed(console[start:end]) for start, end in pairwise(places))
    shown += text.feed(b"", end=True)
    assert shown == clean_console(console)
    assert not set(shown) & set(map(chr, (*range(9), *range(11, 32), 127, *range(128, 160))))


def test_what_may_become_a_sequence_is_not_held_for_ever() -> None:
    text = ConsoleText()
    assert text.feed(b"\x1b]0;" + b"x" * 500) == ""
    assert text.feed(b"x" * 5000).startswith("\\x1b]0;xxx")


def test_returns_without_end_are_not_held() -> None:
    text = ConsoleText()
    assert [text.feed(b"\r" * 10_000) for _ in range(100)] == [""] * 100
    assert text.feed(b"x") == "\\r" * RETURNS_LIMIT + "x"


def test_a_split_sequence_is_hidden() -> None:
    text = ConsoleText()
    assert [text.feed(piece) for piece in (b"a\x1b", b"[3", b"1m", b"b\r", b"\nc\x1b]0;ti", b"tle\x1b", b"\\d")] == [
        "a",
        "",
        "",
        "b",
        "\nc",
        "",
        "d",
    ]


@given(console=st.lists(PIECES, max_size=40).map(b"".join), cuts=st.lists(st.integers(0, 120), max_size=8))
def test_named_lines_are_the_same_text(console: bytes, cuts: list[int]) -> None:
    lines = NamedLines("box")
    places = [0, *sorted(min(cut, len(console)) for cut in cuts), len(console)]
    shown = "".join(lines.feed(console[start:end]) for start, end in pairwise(places))
    shown += lines.feed(b"", end=True)
    assert shown == "".join(
        f"box | {line}\n" for line in clean_console(console).removesuffix("\n").split("\n") if shown
    )


def test_a_line_without_end_is_not_held_for_ever() -> None:
    lines = NamedLines("a\x1bb")
    assert lines.feed(b"x" * LINE_LIMIT) == ""
    assert lines.feed(b"y") == "a\\x1bb | " + "x" * LINE_LIMIT + "\n"
    assert lines.feed(b"z", end=True) == "a\\x1bb | yz\n"
