from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import pytest

from banger.core.processes import read_identity
from banger.core.usage import parse_stat, read_usage

STAT = "42 (a) b (c) S 1 42 42 0 -1 4194560 1 2 3 4 250 150 0 0 20 0 1 0 999 1000000 300 18446744073709551615 1"


def test_the_line_of_a_process_with_any_name() -> None:
    usage = parse_stat(STAT)
    assert usage.cpu_s == pytest.approx(400 / os.sysconf("SC_CLK_TCK"))
    assert usage.rss_bytes == 300 * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize("text", ["", "42 (x) S", "42 (x) " + "y " * 40])
def test_what_is_no_such_line(text: str) -> None:
    with pytest.raises((ValueError, IndexError)):
        parse_stat(text)


def test_a_stranger_with_the_pid_is_not_read() -> None:
    script = "print(flush=True); input()"
    process = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()  # it has begun, and has memory
    try:
        identity = read_identity(process.pid)
        assert identity is not None
        usage = read_usage(identity)
        assert usage is not None
        assert usage.rss_bytes > 0
        assert read_usage(replace(identity, start_ticks=identity.start_ticks + 1)) is None
    finally:
        process.communicate(b"\n")
    assert read_usage(identity) is None
