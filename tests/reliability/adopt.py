"""`adopt-vm`: the daemon is killed while many VMs run, and the next one has all of them."""

from __future__ import annotations

import functools
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


def adopt(api: Api, vms: int) -> float:
    """Start `vms`, kill their daemon; seconds until the next one, started now, lists all of them as running."""
    for number in range(vms):
        api.run_detached(f"box{number}", memory_mib=MEMORY_MIB)
    before = boots(api)
    assert len(before) == vms
    kill(api.ping()["pid"])
    began_s = time.monotonic()
    listed = api.vms()  # this starts a daemon, as the command line would
    seconds = time.monotonic() - began_s
    assert [vm["state"] for vm in listed] == ["running"] * vms, listed
    assert [vm["problem"] for vm in listed] == [""] * vms, listed
    assert boots(api) == before
    return seconds


def prove(count: int, seed: int, *, module: str = REAL_DAEMON, judged: bool = True) -> Row:
    """Raises `AssertionError` when one is not adopted, is not the same, or, when `judged`, comes too late."""
    del seed  # nothing here is random
    with tempfile.TemporaryDirectory(prefix="banger-adopt-") as directory:
        world = LooseWorld(Path(directory) / "w", module=module)
        try:
            seconds = adopt(world.api(), count)
            world.delete_all()
        finally:
            world.end_all()
    assert not judged or seconds <= LIMIT_S, f"it took {seconds:.2f} s until all {count} VMs were adopted"
    return Row(
        "adopt-vm",
        "SIGKILL for the daemon while VMs run; the next one has all of them, in the same boots",
        f"{count} VMs",
        f"all adopted **{seconds:.2f} s** after the start of the next daemon (limit {LIMIT_S:g} s), same guest boot ids; "
        f"0 leaks ({host()})",
    )


prove_fake = functools.partial(prove, module=FAKE_DAEMON, judged=False)
COUNT = VMS
