"""`cycles` and `cycles-vm`: the whole life of a VM again and again, and what the daemon keeps of it."""

from __future__ import annotations

import functools
import os
import tempfile
from pathlib import Path
from typing import Final

from tests.reliability.api import Api
from tests.reliability.page import Row, host
from tests.reliability.worlds import FAKE_DAEMON, REAL_DAEMON, LooseWorld, until

COUNT: Final = 1000
GROWTH_LIMIT_KIB: Final = 4096
MEMORY_MIB: Final = 192


def cycle(api: Api, name: str) -> None:
    """Create, start, exec, stop, delete."""
    api.create(name, start=False, memory_mib=MEMORY_MIB)
    api.act("start", name)
    assert api.exec(name, "echo", name) == (0, f"{name}\n".encode())
    api.act("stop", name)
    api.act("delete", name)


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def resident_kib(pid: int) -> int:
    """VmRSS of proc(5)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1])


def prove(count: int, seed: int, *, module: str = FAKE_DAEMON, proof: str = "cycles") -> Row:
    """Raises `AssertionError` when the daemon has more descriptors, or 4 MiB more memory, than after the first tenth."""
    del seed  # nothing here is random
    with tempfile.TemporaryDirectory(prefix="banger-cycles-") as directory:
        world = LooseWorld(Path(directory) / "w", module=module)
        api = world.api()
        warm = max(1, count // 10)
        try:
            for number in range(warm):
                cycle(api, f"box{number}")
            pid = api.ping()["pid"]
            before, before_kib = descriptors(pid), resident_kib(pid)
            for number in range(warm, count):
                cycle(api, f"box{number}")
            assert api.ping()["pid"] == pid
            # The connection of the last request may not be closed yet on the other side.
            until(lambda: descriptors(pid) <= before, what=f"{descriptors(pid)} descriptors, once {before}")
            growth_kib = resident_kib(pid) - before_kib
            assert growth_kib <= GROWTH_LIMIT_KIB, f"the daemon grew by {growth_kib} KiB, from {before_kib}"
            world.delete_all()
        finally:
            world.end_all()
    return Row(
        proof,
        f"create, start, exec, stop, delete, with {'a fake VMM' if module == FAKE_DAEMON else 'QEMU'}",
        f"{count} times, the first {warm} to warm up",
        f"file descriptors of the daemon **+0** ({before}), memory **{growth_kib / 1024:+.1f} MiB** of "
        f"{before_kib / 1024:.0f} (limit +{GROWTH_LIMIT_KIB // 1024}); 0 leaks ({host()})",
    )


prove_vm = functools.partial(prove, module=REAL_DAEMON, proof="cycles-vm")
