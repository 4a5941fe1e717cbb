"""When something is tried again."""

from __future__ import annotations

import pytest

from banger.image.registry.patience import Patience, parse_retry_after, plan_delay

PATIENCE = Patience(attempts=4, backoff_s=0.5, retry_after_limit_s=60)


@pytest.mark.parametrize(
    ("attempt", "after_s", "delay_s"),
    [
        (1, None, 0.5),
        (2, None, 1.0),
        (3, None, 2.0),
        (4, None, None),
        (1, 10.0, 10.0),
        (3, 0.0, 2.0),
        (1, 60.0, 60.0),
        (1, 60.5, None),
        (1, float("inf"), None),
        (4, 1.0, None),
    ],
)
def test_delays(attempt: int, after_s: float | None, delay_s: float | None) -> None:
    assert plan_delay(PATIENCE, attempt=attempt, after_s=after_s) == delay_s


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None),
        ("", None),
        ("7", 7.0),
        (" 7 ", 7.0),
        ("\x1d7", 7.0),
        ("0", 0.0),
        ("-7", None),
        ("1.5", None),
        ("9" * 30, None),
        ("٣", None),
        ("soon", None),
        ("Thu, 01 Jan 1970 00:02:00 GMT", 20.0),
        ("Thu, 01 Jan 1970 00:01:00 GMT", 0.0),
        ("Thu, 99 Jan 1970 00:01:00 GMT", None),
        ("Fri, 31 Dec 99999 23:59:59 GMT", None),
    ],
)
def test_when_to_come_back(text: str | None, seconds: float | None) -> None:
    assert parse_retry_after(text, now_s=100.0) == seconds
