import pytest
from hypothesis import given
from hypothesis import strategies as st

from banger.core.durations import DURATION_LIMIT_S, format_period, parse_duration
from banger.core.errors import Invalid


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("15m", 900),
        ("2h", 7200),
        ("1d", 86400),
        ("1h30m", 5400),
        ("1d2h3m4s", 93784),
        (" 2h ", 7200),
        ("0", 0),
        ("0s", 0),
    ],
)
def test_what_people_type(text: str, seconds: int) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "h",
        "2",
        "90",
        "-1h",
        "1.5h",
        "1h 30m",
        "30m1h",
        "1h1h",
        "2H",
        "2w",
        "2hours",
        "٢h",
        "never",
        "9999d",
        "1h\n2m",
    ],
)
def test_nonsense_is_refused(text: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_duration(text)
    assert caught.value.hint


@given(st.integers(min_value=0, max_value=DURATION_LIMIT_S))
def test_printed_durations_are_read_back_exactly(seconds: int) -> None:
    assert parse_duration(format_period(seconds)) == seconds


@given(st.integers(min_value=0, max_value=DURATION_LIMIT_S))
def test_there_is_one_way_to_print_a_duration(seconds: int) -> None:
    printed = format_period(seconds)
    assert format_period(parse_duration(printed)) == printed
