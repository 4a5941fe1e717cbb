import asyncio
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from banger.core.census import end_process, find_processes
from banger.core.processes import open_pidfd, read_identity


def sleeper(directory: Path, label: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", label], cwd=directory)


async def test_processes_are_found_by_directory_and_label_and_ended(tmp_path: Path) -> None:
    ours = sleeper(tmp_path, "label-1")
    other = sleeper(tmp_path, "label-2")
    try:
        found = await asyncio.to_thread(find_processes, tmp_path, label="label-1")
        assert [identity.pid for identity in found] == [ours.pid]
        assert await end_process(found[0])
        assert ours.wait(10) == -signal.SIGKILL
        assert other.poll() is None
        assert not await end_process(found[0])
    finally:
        for process in (ours, other):
            process.kill()
            process.wait()


def test_a_stranger_with_the_same_pid_is_not_ours(tmp_path: Path) -> None:
    process = sleeper(tmp_path, "x")
    try:
        identity = read_identity(process.pid)
        assert identity is not None
        pidfd = open_pidfd(identity)
        assert pidfd is not None
        os.close(pidfd)
        assert open_pidfd(replace(identity, start_ticks=identity.start_ticks + 1)) is None
        assert open_pidfd(replace(identity, boot_id="another")) is None
        assert open_pidfd(replace(identity, executable="1:2")) is None
    finally:
        process.kill()
        process.wait()


def test_a_zombie_is_nobody(tmp_path: Path) -> None:
    process = sleeper(tmp_path, "x")
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert read_identity(process.pid) is None
    process.wait()
