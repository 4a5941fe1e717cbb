"""Repositories into the guest, and what changed in them once more."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

from tests.world import World

from banger.core.sockets import connect_unix
from banger.guest.channel import Channel
from banger.guest.process import ExecRequest
from bench.bare import Bare, write_sample_repository
from bench.measure import Figure

MEMORY_MIB = 1024


async def copy_figures(
    world: World, bare: Bare, directory: Path, *, files: int, size_bytes: int, turns: int, warm: int = 1
) -> list[Figure]:
    """A repository into the guest, against the same files through a port that nobody else uses; and ten files of it
    again, against all of it.
    """
    bare.memory_mib = MEMORY_MIB
    repository = directory / f"repository-{files}"
    write_sample_repository(repository, files=files, size_bytes=size_bytes)
    values, floors, again = [], [], []
    for turn in range(turns + warm):
        name = f"copy{turn}"
        world.succeed("vm", "run", "-d", "--name", name, "--memory", str(MEMORY_MIB), str(repository))
        seconds = _copy_seconds(world)
        for number in range(10):
            with next(repository.glob(f"d*/e*/file{number}.txt")).open("a") as file:
                file.write(f"changed {turn}\n")
        prepared = world.json("vm", "workspace", "prepare", name, str(repository))
        assert prepared["files"] == 10, prepared
        world.succeed("vm", "delete", name)
        await bare.renew_disk()
        async with bare.running(with_port=True) as (channel, _):
            floor = await tar_floor(channel, bare.port, repository)
        if turn >= warm:
            values.append(seconds)
            floors.append(floor)
            again.append(prepared["elapsed_s"])
    what = f"{files:,} files, {size_bytes >> 20} MB"
    return [
        Figure(f"{what}, into the guest", "`tar` of the same files into bare virtio-serial", "s", values, floors, 1.5),
        Figure(f"ten files of {files:,} once more", "`tar` of all files, as above", "s", again, floors, 1),
    ]


def _copy_seconds(world: World) -> float:
    """How long the daemon says the copy took, from its log."""
    lines = [line for line in (world.state / "daemon.log").read_text().splitlines() if "workspace copied in" in line]
    return float(lines[-1].split()[-2])


# GNU tar takes a device for a tape, and a short read for its end: `-B` and standard input.
TAR_IN_GUEST = """
mkdir /root/t
for port in /sys/class/virtio-ports/*; do
    [ "$(cat "$port/name")" = bench.tar ] && exec tar -xBf - -C /root/t <"/dev/${port##*/}"
done
exit 9
"""


async def tar_floor(channel: Channel, port: Path, repository: Path) -> float:
    """Seconds from the start of one `tar`, which writes into QEMU's socket, to the end of the other in the guest.

    The bytes go through a virtio-serial port of their own; the agent starts the guest's `tar` and tells how it ended.
    """
    request = ExecRequest(argv=["sh", "-c", TAR_IN_GUEST], environment={"PATH": "/usr/bin:/bin"})
    # Connected from before to after: a port without anybody at its other end reads as ended.
    with connect_unix(port) as connection:
        async with channel.exec(request) as process:
            began = time.perf_counter()
            tar = await asyncio.create_subprocess_exec(
                *("tar", "-C", str(repository), "--exclude=.git", "-cf", "-", "."), stdout=connection.fileno()
            )
            sent = await tar.wait()
            while (chunk := await process.read()) is not None:
                print(chunk.data.decode(errors="replace"), file=sys.stderr)
            status = await process.wait()
    assert (sent, status.code) == (0, 0), (sent, status)
    return time.perf_counter() - began
