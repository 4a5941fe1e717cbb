from __future__ import annotations

import os
import signal

import pytest

from banger.cli.signals import FORWARDED, SignalPolicy, SignalWatch


@pytest.mark.parametrize("number", FORWARDED)
@pytest.mark.parametrize("pty", [False, True])
def test_before_the_command_runs_every_signal_ends_the_request(number: int, pty: bool) -> None:
    assert SignalPolicy(pty=pty).decide(number, running=False, now_s=0.0) == "hang_up"


@pytest.mark.parametrize("number", FORWARDED)
def test_the_first_goes_to_the_command_and_the_second_soon_after_gives_up(number: int) -> None:
    policy = SignalPolicy(pty=False)
    assert policy.decide(number, running=True, now_s=10.0) == "forward"
    assert policy.decide(number, running=True, now_s=12.0) == "hang_up"


def test_a_second_later_on_is_a_first_again() -> None:
    policy = SignalPolicy(pty=False)
    for now_s in (10.0, 12.1, 15.0):
        assert policy.decide(signal.SIGINT, running=True, now_s=now_s) == "forward"


def test_different_signals_are_not_the_same_twice() -> None:
    policy = SignalPolicy(pty=False)
    assert policy.decide(signal.SIGINT, running=True, now_s=10.0) == "forward"
    assert policy.decide(signal.SIGTERM, running=True, now_s=10.1) == "forward"


def test_a_terminal_that_hangs_up_ends_its_session() -> None:
    assert SignalPolicy(pty=True).decide(signal.SIGHUP, running=True, now_s=1.0) == "hang_up"
    assert SignalPolicy(pty=True).decide(signal.SIGTERM, running=True, now_s=1.0) == "forward"


def test_watched_signals_can_be_read_and_handlers_come_back() -> None:
    before = signal.getsignal(signal.SIGUSR1)
    with SignalWatch((signal.SIGUSR1,)) as watch:
        assert watch.read() == []
        os.kill(os.getpid(), signal.SIGUSR1)
        assert watch.read() == [signal.SIGUSR1]
        assert watch.read() == []
    assert signal.getsignal(signal.SIGUSR1) is before


def test_ignored_signals_stay_ignored() -> None:
    before = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    try:
        with SignalWatch((signal.SIGUSR1,)) as watch:
            assert signal.getsignal(signal.SIGUSR1) is signal.SIG_IGN
            os.kill(os.getpid(), signal.SIGUSR1)
            assert watch.read() == []
    finally:
        signal.signal(signal.SIGUSR1, before)
