"""What idle VMs cost the host."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys

from tests.world import World

from bench.bare import IDLE_AFTER_S, Bare, resident_kib
from bench.measure import TURNS, Figure

CROWD = int(os.environ.get("BENCH_VMS", "30"))
CROWD_MIB = 192


async def memory_figures(world: World, bare: Bare) -> list[Figure]:
    """Each turn has an idle VM, an idle bare one and an idle Python of its own; the daemon is the one that serves."""
    script_text = (
        "import asyncio\nasync def m():\n    print('r', flush=True)\n    await asyncio.sleep(600)\nasyncio.run(m())"
    )
    guest = Figure("memory of an idle VM beyond its guest RAM", "bare QEMU with the same guest", "MiB", [], [], 1.1)
    served = Figure("memory of the daemon", "a bare asyncio Python", "MiB", [], [], 3)
    for _ in range(TURNS):
        world.succeed("vm", "run", "-d", "--no-workspace", "--name", "box", "--memory", str(bare.memory_mib))
        pid = world.vms()[0]["pid"]
        daemon = world.daemon_pid()
        assert daemon is not None
        await bare.renew_disk()
        with subprocess.Popen([sys.executable, "-c", script_text], stdout=subprocess.PIPE) as plain:
            assert plain.stdout is not None
            plain.stdout.readline()
            async with bare.running() as (_, bare_pid):
                await asyncio.sleep(IDLE_AFTER_S)
                guest.values.append(resident_kib(pid, beyond_mib=bare.memory_mib) / 1024)
                guest.floors.append(resident_kib(bare_pid, beyond_mib=bare.memory_mib) / 1024)
                served.values.append(resident_kib(daemon) / 1024)
                served.floors.append(resident_kib(plain.pid) / 1024)
            plain.kill()
        world.succeed("vm", "delete", "box")
    return [guest, served]


async def crowd_figure(world: World, bare: Bare) -> Figure:
    """What each of many idle VMs costs the host, with its share of what the daemon has grown by."""
    daemon = world.daemon_pid()
    assert daemon is not None
    alone_kib = resident_kib(daemon)
    names = [f"crowd{number}" for number in range(CROWD)]
    for name in names:
        world.succeed("vm", "run", "-d", "--no-workspace", "--name", name, "--memory", str(CROWD_MIB))
    bare.memory_mib = CROWD_MIB
    floors = []
    for _ in range(TURNS):
        await bare.renew_disk()
        async with bare.running() as (_, bare_pid):
            await asyncio.sleep(IDLE_AFTER_S)
            floors.append(resident_kib(bare_pid, beyond_mib=CROWD_MIB) / 1024)
    share_kib = (resident_kib(daemon) - alone_kib) / CROWD
    values = [(resident_kib(vm["pid"], beyond_mib=CROWD_MIB) + share_kib) / 1024 for vm in world.vms()]
    world.succeed("vm", "delete", *names)
    name = f"memory of each of {CROWD} idle VMs beyond its guest RAM, with its share of the daemon"
    return Figure(name, "bare QEMU with the same guest", "MiB", values, floors, 1.1)
