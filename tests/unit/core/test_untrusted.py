import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from banger.core.untrusted import printable, printable_lines


@given(st.one_of(st.text(), st.binary()))
def test_nothing_that_moves_a_cursor_survives(text: str | bytes) -> None:
    shown = printable(text)
    assert all(unicodedata.category(c) not in ("Cc", "Cs") for c in shown)
    assert "\u202e" not in shown


def test_plain_text_stays() -> None:
    assert printable("grüße, 世界 \U0001f600") == "grüße, 世界 \U0001f600"


def test_escapes_are_shown() -> None:
    assert printable(b"a\x1b[2Jb\xff") == "a\\x1b[2Jb\\xff"


def test_long_text_is_cut() -> None:
    assert printable("x" * 100, limit=10) == "x" * 10 + "..."


@given(st.text())
def test_lines_keep_their_breaks_and_nothing_else(text: str) -> None:
    shown = printable_lines(text)
    assert all(c in "\n\t" or unicodedata.category(c) != "Cc" for c in shown)
