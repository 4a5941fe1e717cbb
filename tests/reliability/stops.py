"""`stops-vm`: what a guest wrote before its VM was stopped is there after the next start."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path
from typing import Final

from tests.reliability.api import Api
from tests.reliability.page import Row, host
from tests.reliability.worlds import REAL_DAEMON, LooseWorld

COUNT: Final = 100
NAME: Final = "box"
MEMORY_MIB: Final = 192
LARGEST_BYTES: Final = 2 << 20
PLACE: Final = "/root/kept"
# `sync` of the first file only: the other one is `stop`'s to bring to the disk.
WRITE: Final = f"""
mkdir -p {PLACE}
head -c "$2" /dev/urandom > {PLACE}/$1.synced && sync {PLACE}/$1.synced || exit
head -c "$2" /dev/urandom > {PLACE}/$1.left || exit
sha256sum {PLACE}/$1.synced {PLACE}/$1.left
"""


def shell(api: Api, script: str, *arguments: str) -> list[bytes]:
    """The lines that a script prints in the guest, sorted."""
    status, output = api.exec(NAME, "sh", "-c", script, "sh", *arguments)
    assert status == 0, (script, status, output)
    return sorted(output.splitlines())


def stop_and_start(api: Api, number: int, size_bytes: int) -> list[bytes]:
    """In a running VM: write two files, stop it, start it, and compare. Returns their digests."""
    before = shell(api, WRITE, str(number), str(size_bytes))
    assert len(before) == 2, before
    api.act("stop", NAME)
    api.act("start", NAME)
    after = shell(api, f"sha256sum {PLACE}/{number}.*")
    assert after == before, f"round {number}: {before} became {after}"
    return before


def rounds(api: Api, count: int, seed: int) -> None:
    """Raises `AssertionError` when a file is not what it was, at once or after all the rounds that followed."""
    chance = random.Random(seed)
    api.create(NAME, start=True, memory_mib=MEMORY_MIB)
    digests: list[bytes] = []
    for number in range(count):
        digests += stop_and_start(api, number, chance.randint(1, LARGEST_BYTES))
    assert shell(api, f"sha256sum {PLACE}/*") == sorted(digests)


def prove(count: int, seed: int) -> Row:
    """Raises `AssertionError` with the round that lost something."""
    with tempfile.TemporaryDirectory(prefix="banger-stops-") as directory:
        world = LooseWorld(Path(directory) / "w", module=REAL_DAEMON)
        try:
            rounds(world.api(), count, seed)
            forced = (world.state / "daemon.log").read_text().count("by force")
            world.delete_all()
        finally:
            world.end_all()
    return Row(
        "stops-vm",
        "with QEMU: write a file and sync it, write another and do not, `vm stop`, `vm start`, compare",
        f"{count} times, seed {seed}",
        f"**{count} of {count}** have both as they were; {forced} stops by force ({host()})",
    )
