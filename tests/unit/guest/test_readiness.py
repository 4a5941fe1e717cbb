from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from banger.guest.channel import Hello
from banger.guest.readiness import (
    AGENT,
    CHECKS,
    DISKS,
    KERNEL,
    NETWORK,
    SSH,
    Check,
    Outcome,
    divide_first_word,
    find_failed_check,
    judge,
    outcomes_of_start,
)


def hello(began_s: float | None, ended_s: float | None, said_s: float | None) -> Hello:
    return Hello(
        version=1, build="b", boot_id="i", phase="running", init_began_s=began_s, init_ended_s=ended_s, said_s=said_s
    )


def test_the_first_word_divides_what_was_waited() -> None:
    assert divide_first_word(3.0, hello(1.0, 1.5, 2.0)) == {"kernel": 2.0, "disks": 0.5, "agent": 0.5}
    assert divide_first_word(2.0, hello(None, None, None)) == {"agent": 2.0}
    assert divide_first_word(2.0, hello(1.0, 1.5, None)) == {"agent": 2.0}
    assert divide_first_word(2.0, hello(1.0, 50.0, 50.0)) == {"kernel": 0.0, "disks": 2.0, "agent": 0.0}


@given(st.floats(0, 1e6), st.floats(-1e20, 1e20), st.floats(-1e20, 1e20), st.floats(-1e20, 1e20))
def test_a_guest_cannot_stretch_time(waited_s: float, began_s: float, ended_s: float, said_s: float) -> None:
    parts = divide_first_word(waited_s, hello(began_s, ended_s, said_s))
    assert all(0 <= seconds <= waited_s for seconds in parts.values())
    assert sum(parts.values()) == pytest.approx(waited_s)


def test_what_a_start_says_of_its_checks() -> None:
    outcomes = outcomes_of_start({"vmm": 0.1, "kernel": 0.9, "agent": 0.2, "disks": 0.3, "ssh": 4.0})
    assert [(one.name, one.outcome, one.elapsed_s) for one in outcomes] == [
        ("kernel", Outcome.PASS, 0.9),
        ("agent", Outcome.PASS, 0.2),
        ("disks", Outcome.PASS, 0.3),
        ("network", Outcome.SKIPPED, None),
        ("ssh", Outcome.PASS, 4.0),
    ]
    assert outcomes_of_start({"agent": 1.0})[0] == outcomes_of_start({"vmm": 1.0})[0]
    assert outcomes_of_start({}) == ()


@pytest.mark.parametrize(
    ("check", "good", "uptime_s", "outcome"),
    [
        (SSH, True, 0.0, Outcome.PASS),
        (SSH, False, 0.0, Outcome.STARTING),
        (SSH, False, SSH.deadline_s - 1, Outcome.STARTING),
        (SSH, False, SSH.deadline_s, Outcome.FAIL),
        (SSH, False, float("nan"), Outcome.FAIL),
        (NETWORK, False, 1.0, Outcome.STARTING),
        (NETWORK, False, NETWORK.deadline_s, Outcome.FAIL),
        (AGENT, False, 0.0, Outcome.FAIL),
        (DISKS, False, 0.0, Outcome.FAIL),
    ],
)
def test_what_comes_after_the_boot_has_its_time_to_come(
    check: Check, good: bool, uptime_s: float, outcome: Outcome
) -> None:
    judged = judge(check, good=good, elapsed_s=0.5, uptime_s=uptime_s)
    assert (judged.name, judged.outcome, judged.elapsed_s) == (check.name, outcome, 0.5)
    assert bool(judged.hint) == (not good)
    assert (judged.hint == check.hint) == (outcome is Outcome.FAIL)


@pytest.mark.parametrize(
    ("console", "phase", "check"),
    [
        ("", None, KERNEL),
        ("Kernel panic - not syncing", None, KERNEL),
        ("banger-agent: running: virtio:banger.channel: No such device\n", None, AGENT),
        ("banger-agent: modules: /a.ko: Exec format error\n", "modules", KERNEL),
        ("banger-agent: disks: data: No such device\n", "disks", DISKS),
        ("", "switch", DISKS),
    ],
)
def test_which_check_failed(console: str, phase: str | None, check: Check) -> None:
    assert find_failed_check(console, phase=phase) is check


def test_every_check_has_a_hint_and_a_deadline() -> None:
    assert [check.name for check in CHECKS] == ["kernel", "agent", "disks", "network", "ssh"]
    assert all(check.hint and check.meaning and 0 < check.deadline_s <= 120 for check in CHECKS)
