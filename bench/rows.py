"""VMs that were made and never started, for a long list."""

from __future__ import annotations

import asyncio
from functools import partial

from tests.world import World

from banger.core.vm import State, VmSpec
from banger.store.connection import Database
from banger.store.records import VmRecord, insert_vm


def insert_rows(world: World, count: int) -> None:
    """Write rows while no daemon runs, and let one start."""
    world.succeed("daemon", "stop")
    asyncio.run(_insert(world, count))
    world.vms()


async def _insert(world: World, count: int) -> None:
    database = Database(world.state / "banger.db")
    await database.open()
    spec = VmSpec(
        image="i",
        image_digest="d",
        kernel="k",
        kernel_digest="d",
        vcpu=2,
        memory_mib=512,
        disk_bytes=8 << 30,
        nat=False,
    )
    for number in range(count):
        record = VmRecord(
            id=f"{number:08x}-0000-4000-8000-000000000000",
            name=f"row-{number:02d}",
            state=State.STOPPED,
            spec=spec,
            ephemeral=False,
            created_at_s=1.0,
        )
        await database.call(partial(insert_vm, record=record))
    await database.close()
