"""Letting go of VMs while their VMMs end."""

from __future__ import annotations

import asyncio
import signal

from banger.core.errors import Unavailable
from banger.core.processes import ProcessIdentity
from banger.daemon.supervisor import Live, Supervisor
from banger.guest.channel import Channel
from banger.hypervisor.contract import MachineEnd


class Machine:
    """A VMM that ends when it is told to."""

    identity = ProcessIdentity(1, 1, "", "")

    def __init__(self) -> None:
        self.ended, self.released = asyncio.Event(), asyncio.Event()

    async def wait(self) -> MachineEnd:
        await self.ended.wait()
        return MachineEnd("it was ended", failed=False)

    async def kill(self) -> None:
        self.ended.set()

    def signal(self, number: signal.Signals) -> None: ...

    async def pause(self) -> None: ...

    async def paused(self) -> bool:
        return False

    async def resume(self) -> None: ...

    async def aclose(self) -> None:
        self.released.set()


async def no_guest() -> Channel:
    raise Unavailable("there is none")


async def test_all_are_let_go_although_a_vmm_ends_meanwhile() -> None:
    supervisor = Supervisor()
    machines = [Machine() for _ in range(4)]

    async def clear_up(vm_id: str, _reason: str) -> None:
        await supervisor.forget(vm_id)

    supervisor.when_ended(clear_up)
    for number, machine in enumerate(machines):
        supervisor.add(str(number), Live(machine=machine, channel=None, connect=no_guest))
    await asyncio.sleep(0)
    releasing = asyncio.create_task(supervisor.release())
    for steps in range(4):
        for _ in range(steps):
            await asyncio.sleep(0)
        machines[steps].ended.set()
    await releasing
    assert all(machine.released.is_set() for machine in machines)
    assert supervisor.running() == []
