"""How an image wants to be run."""

from __future__ import annotations

import pytest

from banger.core.errors import Invalid
from banger.image.run_config import RunConfig, decode_run_config, encode_run_config, parse_stop_signal


def test_what_is_written_is_read() -> None:
    run = RunConfig(entrypoint=("/bin/a", "b c"), command=("d",), user="1:2", working_dir="/srv", stop_signal=3)
    assert decode_run_config(encode_run_config(run)) == run
    assert run.argv == ("/bin/a", "b c", "d")
    assert decode_run_config({}) == RunConfig()
    assert RunConfig().argv == ()


@pytest.mark.parametrize(
    ("text", "number"),
    [("", 15), ("SIGTERM", 15), ("term", 15), ("9", 9), ("SIGQUIT", 3), ("SIGRTMIN", 34), ("SIGRTMIN+3", 37)],
)
def test_stop_signals(text: str, number: int) -> None:
    assert parse_stop_signal(text) == number


@pytest.mark.parametrize("text", ["0", "65", "SIGNONE", "SIGRTMIN+31", "SIGRTMIN-1", "-9", "9999", "SIG", "\u0663"])
def test_what_is_no_signal(text: str) -> None:
    with pytest.raises(Invalid):
        parse_stop_signal(text)
