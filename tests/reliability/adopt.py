"""`adopt-vm`: the daemon is killed while many VMs run, and the next one has all of them."""

from __future__ import annotations

import functools
import os
import tempfile
import time
from pathlib import Path
from typing import Final

from tests.reliability.api import Api
from tests.reliability.page import Row, host
from tests.reliability.worlds import FAKE_DAEMON, REAL_DAEMON, LooseWorld, kill

VMS: Final = 20
LIMIT_S: Final = 2.0
MEMORY_MIB: Final = 192


def boots(api: Api) -> dict[str, tuple[int, bytes]]:
    """Which VMM and which boot each VM is in, asked in the guest."""
    return {
        vm["name"]: (vm["pid"], api.exec(vm["name"], "cat", "/proc/sys/kernel/random/boot_id")[1])
        for vm in api.vms()
        if vm["state"] == "running"
    }


def processor_seconds(pid: int) -> float:
    """What a process has used of processors (proc(5), utime and stime)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def adopt(api: Api, vms: int) -> tuple[float, float]:
    """Start `vms`, kill their daemon; seconds until the next one, started now, lists all of them as running.

    The second number is what that daemon has used of processors until then.
    """
    for number in range(vms):
        api.run_detached(f"box{number}", memory_mib=MEMORY_MIB)
    before = boots(api)
    assert len(before) == vms
    kill(api.ping()["pid"])
    began_s = time.monotonic()
    listed = api.vms()  # this starts a daemon, as the command line would
    seconds = time.monotonic() - began_s
    used_s = processor_seconds(api.ping()["pid"])
    assert [vm["state"] for vm in listed] == ["running"] * vms, listed
    assert [vm["problem"] for vm in listed] == [""] * vms, listed
    assert boots(api) == before
    return seconds, used_s


def prove(count: int, seed: int, *, module: str = REAL_DAEMON, judged: bool = True) -> Row:
    """Raises `AssertionError` when one is not adopted, is not the same, or, when `judged`, comes too late."""
    del seed  # nothing here is random
    with tempfile.TemporaryDirectory(prefix="banger-adopt-") as directory:
        world = LooseWorld(Path(directory) / "w", module=module)
        try:
            seconds, used_s = adopt(world.api(), count)
            world.delete_all()
        finally:
            world.end_all()
    assert not judged or seconds <= LIMIT_S, f"it took {seconds:.2f} s until all {count} VMs were adopted"
    return Row(
        "adopt-vm",
        "SIGKILL for the daemon while VMs run; the next one has all of them, in the same boots",
        f"{count} VMs",
        f"all adopted **{seconds:.2f} s** after the start of the next daemon (limit {LIMIT_S:g} s), "
        f"for which it used {used_s:.2f} s of a processor; same guest boot ids, 0 leaks ({host()})",
    )


prove_fake = functools.partial(prove, module=FAKE_DAEMON, judged=False)
COUNT = VMS
