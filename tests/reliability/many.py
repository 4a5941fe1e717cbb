"""`many-vms`: thirty idle VMs at once."""

from __future__ import annotations

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
IDLE_S: Final = 20.0


def list_seconds(world: LooseWorld) -> float:
    """The median time of `banger vm list`."""
    times = []
    for _ in range(LIST_TURNS):
        began_s = time.perf_counter()
        subprocess.run([*world.command, "vm", "list"], env=world.environment, check=True, capture_output=True)
        times.append(time.perf_counter() - began_s)
    return statistics.median(times)


def prove(count: int, seed: int) -> Row:
    """Raises `AssertionError` when one does not answer, or when listing them takes three times as long as none."""
    del seed  # nothing here is random
    with tempfile.TemporaryDirectory(prefix="banger-many-") as directory:
        world = LooseWorld(Path(directory) / "w", module=REAL_DAEMON)
        api = world.api()
        try:
            api.ping()
            empty_s = list_seconds(world)
            for number in range(count):
                api.run_detached(f"box{number}", memory_mib=MEMORY_MIB)
            time.sleep(IDLE_S)
            for number in range(count):
                assert api.exec(f"box{number}", "echo", "hi") == (0, b"hi\n")
            full_s = list_seconds(world)
            vms = api.vms()
            assert [vm["state"] for vm in vms] == ["running"] * count
            beyond_mib = [resident_kib(vm["pid"], beyond_mib=MEMORY_MIB) / 1024 for vm in vms]
            daemon_mib = resident_kib(api.ping()["pid"]) / 1024
            world.delete_all()
        finally:
            world.end_all()
    ratio = full_s / empty_s
    assert ratio <= LIST_LIMIT, f"`vm list` takes {full_s:.3f} s with {count} VMs and {empty_s:.3f} s with none"
    return Row(
        "many-vms",
        f"idle VMs of {MEMORY_MIB} MiB at once",
        f"{count} VMs",
        f"all answer `exec`; `vm list` takes **{ratio:.2f}** times as long as with none (limit {LIST_LIMIT:g}); "
        f"{statistics.median(beyond_mib):.0f} MiB of a VMM beyond its guest's memory, "
        f"{daemon_mib:.0f} MiB the daemon ({host()})",
    )
