"""How long commands take, without and with a guest."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from pathlib import Path

from tests.world import World

from banger.guest.channel import Channel
from banger.guest.process import ExecRequest
from bench.bare import IDLE_AFTER_S, Bare, write_sample_repository
from bench.measure import TURNS, Figure, alternate, timed
from bench.rows import insert_rows

EXEC = ExecRequest(argv=["true"], environment={"PATH": "/usr/bin:/bin"})
PLAIN_PYTHON = "`python3 -c pass`"


def run_figure(world: World, bare: Bare, directory: Path) -> Figure:
    """A VM from nothing to nothing."""
    repository = directory / "small"
    write_sample_repository(repository, files=20, size_bytes=100_000)
    size = ("--memory", str(bare.memory_mib), "--vcpu", str(bare.vcpu))
    command = ("vm", "run", "--rm", *size, str(repository), "--", "true")
    return alternate(
        "`vm run --rm -- true` in a repository of 20 files",
        "bare QEMU until the agent's first answer, and its end",
        value=lambda: timed(lambda: world.succeed(*command)),
        base=bare.boot_once,
        reach=1.25,
        turns=TURNS,
        unit="s",
    )


def quick_figures(world: World) -> list[Figure]:
    """Commands that are over before one has noticed, the last with a daemon that knows 20 VMs."""
    figures = [
        quick_figure(world, "`banger --help`", 3, "--help"),
        quick_figure(world, "Tab after `banger vm exec`", 6, "internal-complete", "fish", "--", "vm", "exec", ""),
    ]
    insert_rows(world, 20)
    figures.append(quick_figure(world, "`vm list --json`, 20 VMs", 6, "vm", "list", "--json"))
    world.succeed("vm", "delete", *[vm["name"] for vm in world.vms()])
    return figures


def quick_figure(world: World, name: str, reach: float, *arguments: str) -> Figure:
    """One command against the start of a Python that has nothing to do."""
    return alternate(
        name,
        PLAIN_PYTHON,
        value=lambda: script(world, *arguments),
        base=lambda: timed(lambda: subprocess.run([sys.executable, "-c", "pass"], env=world.environment, check=True)),
        reach=reach,
        turns=TURNS * 4,
        unit="s",
    )


def script(world: World, *arguments: str) -> float:
    """The installed command rather than `python -m banger`."""
    program = Path(sys.executable).parent / "banger"
    return timed(
        lambda: subprocess.run([program, *arguments], env=world.environment, check=True, stdout=subprocess.DEVNULL)
    )


async def exec_figure(world: World, bare: Bare) -> Figure:
    """`vm exec` on a banger VM against the same request on an open channel of a bare one, both idle."""
    world.succeed("vm", "run", "-d", "--no-workspace", "--name", "box", "--memory", str(bare.memory_mib))
    values, floors = [], []
    async with bare.running() as (channel, _):
        await asyncio.sleep(IDLE_AFTER_S)
        for turn in range(TURNS * 4 + 1):
            value = await asyncio.to_thread(script, world, "vm", "exec", "box", "--", "true")
            floor = await exec_floor(channel)
            if turn:
                values.append(value)
                floors.append(floor)
    world.succeed("vm", "delete", "box")
    return Figure("`vm exec box -- true`", "the same request on an open channel", "s", values, floors, 3)


async def exec_floor(channel: Channel) -> float:
    began = time.perf_counter()
    async with channel.exec(EXEC) as process:
        while await process.read() is not None:
            pass
        await process.wait()
    return time.perf_counter() - began
