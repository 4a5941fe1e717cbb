from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from banger.cli.pace import Pace

MIB = 1 << 20


def seen(*samples: tuple[float, int]) -> Pace:
    pace = Pace()
    for now_s, done in samples:
        pace.see(now_s, done)
    return pace


def test_nothing_is_said_before_anything_is_known() -> None:
    assert seen().describe(5.0, total=10, unit="bytes") == ""
    assert seen((0.0, 0)).describe(0.5, total=10, unit="bytes") == ""
    assert seen((0.0, 0), (2.0, 0)).describe(2.0, total=10, unit="bytes") == ""


def test_rate_and_time_left() -> None:
    pace = seen((0.0, 0), (1.0, MIB), (2.0, 2 * MIB))
    assert pace.describe(2.0, total=12 * MIB, unit="bytes") == "1 MiB/s, 10.0 s left"
    assert pace.describe(2.0, total=None, unit="bytes") == "1 MiB/s"
    assert pace.describe(2.0, total=2 * MIB, unit="bytes") == "1 MiB/s"
    assert seen((0.0, 0), (2.0, 100)).describe(2.0, total=200, unit="files") == "2.0 s left"


def test_only_the_last_seconds_count_and_a_standstill_is_seen() -> None:
    pace = seen(
        *((float(second), 100 * MIB) for second in range(60)), *((60.0 + n, (100 + n) * MIB) for n in range(20))
    )
    assert pace.describe(79.0, total=None, unit="bytes") == "1 MiB/s"
    assert pace.rate(300.0) < MIB / 10  # type: ignore[operator]  # it is known


def test_a_new_count_begins_anew() -> None:
    pace = seen((0.0, 0), (2.0, 50 * MIB), (3.0, 0), (5.0, 2 * MIB))
    assert pace.describe(5.0, total=4 * MIB, unit="bytes") == "1 MiB/s, 2.0 s left"


@given(st.lists(st.tuples(st.floats(0, 3), st.integers(0, 1 << 50)), max_size=3000), st.integers(0, 1 << 50))
def test_whatever_comes_it_is_short_and_small(steps: list[tuple[float, int]], total: int) -> None:
    pace, now_s = Pace(), 0.0
    for step_s, done in steps:
        now_s += step_s
        pace.see(now_s, done)
        assert len(pace._samples) <= 1001
    assert len(pace.describe(now_s + 1, total=total, unit="bytes")) < 50
