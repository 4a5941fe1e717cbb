"""The VMs that run now, each with its VMM, its channel and the one task that notices its end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from banger.core.errors import BangerError, WrongState
from banger.guest.channel import Channel
from banger.hypervisor.contract import RunningMachine

log = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class Live:
    """A VM whose VMM runs. `channel` is None while the guest does not answer."""

    machine: RunningMachine
    channel: Channel | None
    watcher: asyncio.Task[None] | None = None


class Supervisor:
    """Owns what runs, and clears up after a VMM that ended although nobody told it to."""

    def __init__(self) -> None:
        self._live: dict[str, Live] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._endings: set[asyncio.Task[None]] = set()
        self._on_end: Callable[[str, str], Awaitable[None]] | None = None

    def when_ended(self, on_end: Callable[[str, str], Awaitable[None]]) -> None:
        """Say what to do about a VMM that ended by itself: it gets the VM's id and a reason."""
        self._on_end = on_end

    def lock(self, vm_id: str) -> asyncio.Lock:
        """Held by whatever changes the state of that VM, so that such work happens in an order."""
        return self._locks.setdefault(vm_id, asyncio.Lock())

    def forget_lock(self, vm_id: str) -> None:
        """The VM is gone for good."""
        self._locks.pop(vm_id, None)

    def running(self) -> list[str]:
        return list(self._live)

    def add(self, vm_id: str, live: Live) -> None:
        """Take over a running VM and watch it."""
        assert vm_id not in self._live
        self._live[vm_id] = live
        live.watcher = asyncio.create_task(self._watch(vm_id, live))

    def find(self, vm_id: str) -> Live | None:
        return self._live.get(vm_id)

    def channel(self, vm_id: str, name: str) -> Channel:
        """The channel to a running guest. Raises `WrongState`."""
        live = self._live.get(vm_id)
        if live is None:
            raise WrongState(f"the VM {name} is not running", hint=f"start it with `banger vm start {name}`")
        if live.channel is None or live.channel.closed:
            raise WrongState(
                f"the guest of {name} does not answer",
                hint=f"look at `banger vm logs {name}`, or restart it with `banger vm stop {name}`",
            )
        return live.channel

    async def forget(self, vm_id: str) -> None:
        """Stop watching, close the channel and kill the VMM. Nothing happens for a VM that does not run."""
        live = self._live.pop(vm_id, None)
        if live is None:
            return
        if live.watcher is not None:
            live.watcher.cancel()
            await asyncio.wait((live.watcher,))
        if live.channel is not None:
            await live.channel.aclose()
        await live.machine.kill()
        await live.machine.aclose()

    async def release(self) -> None:
        """Let go of all VMs, which go on running: the daemon ends and the next one adopts them."""
        if self._endings:
            await asyncio.wait(self._endings)
        for live in self._live.values():
            if live.watcher is not None:
                live.watcher.cancel()
                await asyncio.wait((live.watcher,))
            if live.channel is not None:
                await live.channel.aclose()
            await live.machine.aclose()
        self._live.clear()

    async def _watch(self, vm_id: str, live: Live) -> None:
        end = await live.machine.wait()
        log.info("the VMM of %s ended: %s", vm_id, end.reason)
        if self._live.get(vm_id) is live:
            # In a task of its own: clearing up cancels this one and waits for it.
            ending = asyncio.create_task(self._clear_up(vm_id, end.reason))
            self._endings.add(ending)
            ending.add_done_callback(self._endings.discard)

    async def _clear_up(self, vm_id: str, reason: str) -> None:
        if self._on_end is None:
            return
        try:
            await self._on_end(vm_id, reason)
        except (BangerError, OSError) as error:
            log.warning("clearing up after %s failed: %r", vm_id, error)
