"""`many-vms`: thirty idle VMs at once."""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Final

from bench.bare import resident_kib
from tests.reliability.page import Row, host
from tests.reliability.worlds import REAL_DAEMON, LooseWorld

COUNT: Final = 30
MEMORY_MIB: Final = 192
LIST_TURNS: Final = 21
LIST_LIMIT: Final = 3.0
IDLE_PROCESSORS: Final = 0.5
IDLE_PERIOD_S: Final = 5.0
IDLE_PERIODS: Final = 60


def list_seconds(*worlds: LooseWorld) -> list[float]:
    """The median time of `banger vm list` in each world, measured in turns: all of them have the same computer."""
    times: list[list[float]] = [[] for _ in worlds]
    for _ in range(LIST_TURNS):
        for world, taken in zip(worlds, times, strict=True):
            began_s = time.perf_counter()
            subprocess.run([*world.command, "vm", "list"], env=world.environment, check=True, capture_output=True)
            taken.append(time.perf_counter() - began_s)
    return [statistics.median(taken) for taken in times]


def used_s(pids: list[int]) -> float:
    """Processor time of processes together, in seconds (utime and stime of proc(5), `stat`)."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def wait_until_idle(pids: list[int]) -> float:
    """Wait until the processes together use less than half a processor, but not for ever; what they use at the end."""
    share = float("inf")
    for _ in range(IDLE_PERIODS):
        before_s = used_s(pids)
        time.sleep(IDLE_PERIOD_S)
        share = (used_s(pids) - before_s) / IDLE_PERIOD_S
        if share < IDLE_PROCESSORS:
            break
    return share


def prove(count: int, seed: int) -> Row:
    """Raises `AssertionError` when one does not answer, or when listing them takes three times as long as none."""
    del seed  # nothing here is random
    with tempfile.TemporaryDirectory(prefix="banger-many-") as directory:
        world, empty = (LooseWorld(Path(directory) / name, module=REAL_DAEMON) for name in ("w", "empty"))
        api = world.api()
        try:
            empty.api().ping()
            for number in range(count):
                api.run_detached(f"box{number}", memory_mib=MEMORY_MIB)
            share = wait_until_idle([vm["pid"] for vm in api.vms()])
            for number in range(count):
                assert api.exec(f"box{number}", "echo", "hi") == (0, b"hi\n")
            full_s, empty_s = list_seconds(world, empty)
            vms = api.vms()
            assert [vm["state"] for vm in vms] == ["running"] * count
            beyond_mib = [resident_kib(vm["pid"], beyond_mib=MEMORY_MIB) / 1024 for vm in vms]
            daemon_mib = resident_kib(api.ping()["pid"]) / 1024
            world.delete_all()
        finally:
            world.end_all()
            empty.end_all()
    ratio = full_s / empty_s
    assert ratio <= LIST_LIMIT, f"`vm list` takes {full_s:.3f} s with {count} VMs and {empty_s:.3f} s with none"
    return Row(
        "many-vms",
        f"idle VMs of {MEMORY_MIB} MiB at once",
        f"{count} VMs",
        f"together they use {share:.2f} of a processor; all answer `exec`; `vm list` takes **{ratio:.2f}** times as long as with none (limit {LIST_LIMIT:g}); "
        f"{statistics.median(beyond_mib):.0f} MiB of a VMM beyond its guest's memory, "
        f"{daemon_mib:.0f} MiB the daemon ({host()})",
    )
