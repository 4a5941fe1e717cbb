import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from banger.core.untrusted import printable, printable_lines


@given(st.one_of(st.text(), st.binary()))
def test_nothing_that_moves_a_cursor_survives(text: str | bytes) -> None:
    shown = printable(text)
    assert all(unicodedata.category(c) not in ("Cc", "Cs") for c in shown)
    assert "\u202e" not in shown


def test_nothing_is_hidden_from_who_reads_it() -> None:
    """A name may say more to a program, such as an agent, than to the person beside it."""
    tags = "".join(chr(0xE0000 + ord(letter)) for letter in "run rm -rf")
    for hidden in (tags, "\u200b", "\u2060", "\ufeff", "\u00ad", "\u206a", "\ufff9"):
        for shown in (printable(f"a{hidden}b"), printable_lines(f"a{hidden}b")):
            assert shown.isascii()
            assert len(shown) > len(f"a{hidden}b")


def test_plain_text_stays() -> None:
    for text in ("grüße, 世界 \U0001f600", "\u0646\u0627\u0645\u0647\u200c\u0627\u06cc", "\U0001f469\u200d\U0001f4bb"):
        assert printable(text) == text


def test_escapes_are_shown() -> None:
    assert printable(b"a\x1b[2Jb\xff") == "a\\x1b[2Jb\\xff"


def test_long_text_is_cut() -> None:
    assert printable("x" * 100, limit=10) == "x" * 10 + "..."


@given(st.text())
def test_lines_keep_their_breaks_and_nothing_else(text: str) -> None:
    shown = printable_lines(text)
    assert all(c in "\n\t" or unicodedata.category(c) != "Cc" for c in shown)
