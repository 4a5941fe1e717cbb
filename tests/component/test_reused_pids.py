"""A pid that was given to a stranger is never signalled: made to happen, thousands of times, in a pid namespace."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

# Linux gives the pid after the one written here to the next process (proc(5), ns_last_pid).
SCRIPT = """
import asyncio, subprocess, sys, time
from banger.core.census import end_process
from banger.core.processes import open_pidfd, read_identity

rounds = int(sys.argv[1])
reused = signalled = 0
for _ in range(rounds):
    first = subprocess.Popen(["/bin/sleep", "60"])
    identity = read_identity(first.pid)
    assert identity is not None
    first.kill()
    first.wait()
    time.sleep(0.02)  # start times are told in ticks of 10 ms
    with open("/proc/sys/kernel/ns_last_pid", "w") as file:
        file.write(str(first.pid - 1))
    stranger = subprocess.Popen(["/bin/sleep", "60"])
    if stranger.pid == identity.pid and read_identity(stranger.pid) != identity:
        reused += 1
        assert open_pidfd(identity) is None
        assert asyncio.run(end_process(identity)) is False
    signalled += stranger.poll() is not None
    stranger.kill()
    stranger.wait()
print(reused, signalled)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may choose the next pid")
def test_a_stranger_with_our_pid_is_left_alone() -> None:
    done = subprocess.run(
        ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", SCRIPT, "100"],
        capture_output=True,
        text=True,
        timeout=200,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    reused, signalled = map(int, done.stdout.split())
    assert reused > 50
    assert signalled == 0
