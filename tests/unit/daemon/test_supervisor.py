"""Letting go of VMs while their VMMs end, and keeping in touch with guests that do not behave."""

from __future__ import annotations

import asyncio
import signal
from typing import cast

import pytest

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


async def test_the_end_of_a_vmm_is_no_matter_of_the_next_one() -> None:
    """Somebody who held the lock when it ended has cleared up and started the VM again."""
    supervisor, old, new = Supervisor(), Machine(), Machine()
    told = list[str]()

    async def clear_up(_vm_id: str, _reason: str) -> None:
        assert supervisor.lock("x").locked()
        told.append("ended")

    supervisor.when_ended(clear_up)
    supervisor.add("x", Live(machine=old, channel=None, connect=no_guest))
    async with supervisor.lock("x"):
        old.ended.set()
        await asyncio.sleep(0.05)
        await supervisor.forget("x")
        supervisor.add("x", Live(machine=new, channel=None, connect=no_guest))
    await asyncio.sleep(0.05)
    assert told == []
    new.ended.set()
    await asyncio.sleep(0.05)
    assert told == ["ended"]
    await supervisor.release()


class Broken:
    """A session that is over as soon as it has begun."""

    closed = True

    async def wait_closed(self) -> None:
        await asyncio.sleep(0)

    async def aclose(self) -> None: ...


async def test_a_guest_that_greets_and_misbehaves_is_tried_less_and_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """It could keep us busy, and push everything else out of the log."""
    pauses: list[float] = []
    enough = asyncio.Event()
    connections = 0

    async def pause(pause_s: float, _hurry: asyncio.Event) -> None:
        pauses.append(pause_s)
        if len(pauses) == 8:
            enough.set()
        await asyncio.sleep(0)

    async def connect() -> Channel:
        nonlocal connections
        connections += 1
        if connections > 100:  # nobody waited
            enough.set()
        return cast("Channel", Broken())

    monkeypatch.setattr("banger.daemon.supervisor._sleep", pause)
    supervisor = Supervisor()
    supervisor.add("1", Live(machine=Machine(), channel=cast("Channel", Broken()), connect=connect))
    await enough.wait()
    await supervisor.release()
    assert pauses[:8] == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 20.0, 20.0]
    assert connections <= 10


async def test_what_nobody_foresaw_does_not_end_the_attempts_to_reach_a_guest() -> None:
    supervisor = Supervisor()
    attempts = 0

    async def connect() -> Channel:
        nonlocal attempts
        attempts += 1
        raise ValueError("odd")

    live = Live(machine=Machine(), channel=None, connect=connect)
    supervisor.add("0", live)
    for number in range(1, 4):
        live.hurry.set()
        while attempts < number:
            await asyncio.sleep(0)
    assert live.is_silent
    await supervisor.release()
