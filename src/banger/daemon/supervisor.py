"""The VMs that run now, each with its VMM, its channel and the one task that notices its end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

from banger.core.errors import BangerError, Unsupported, WrongState
from banger.guest.channel import Channel
from banger.hypervisor.contract import RunningMachine

log = logging.getLogger(__name__)

RECONNECT_FIRST_S: Final = 0.5
RECONNECT_LAST_S: Final = 20.0
STEADY_S: Final = 20.0  # a session that lasts longer is one with a guest that behaves
REACH_STEP_S: Final = 0.1


Connect = Callable[[], Awaitable[Channel]]


@dataclass(slots=True, kw_only=True)
class Live:
    """A VM whose VMM runs. `channel` is None while the guest does not answer; `connect` begins a new session with it.

    `refusal` is why connecting is pointless: the guest speaks another protocol. `used_s` is when a client last did
    something in the guest, in the event loop's time; `hurry` is set to end the pause before the next attempt to
    connect; `tried` is set when it is known whether an adopted VM's guest answers.
    """

    machine: RunningMachine
    channel: Channel | None
    connect: Connect
    watcher: asyncio.Task[None] | None = None
    keeper: asyncio.Task[None] | None = None
    ending: bool = False
    refusal: Unsupported | None = None
    users: int = 0
    used_s: float = 0.0
    hurry: asyncio.Event = field(default_factory=asyncio.Event)
    tried: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def is_silent(self) -> bool:
        """Whether connecting was tried and the guest did not answer."""
        return self.tried.is_set() and (self.channel is None or self.channel.closed)


class Supervisor:
    """Owns the running VMs, and cleans up after a VMM that ended unexpectedly."""

    def __init__(self) -> None:
        self._live: dict[str, Live] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._endings: set[asyncio.Task[None]] = set()
        self._on_end: Callable[[str, str], Awaitable[None]] | None = None

    def when_ended(self, on_end: Callable[[str, str], Awaitable[None]]) -> None:
        """Set the callback for a VMM that ended by itself: it gets the VM's id and the reason, with the lock held."""
        self._on_end = on_end

    def lock(self, vm_id: str) -> asyncio.Lock:
        """The lock that whatever changes the state of that VM holds, so that changes happen one after the other."""
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
        live.used_s = asyncio.get_running_loop().time()
        live.watcher = asyncio.create_task(self._watch(vm_id, live))
        live.keeper = asyncio.create_task(self._keep_channel(vm_id, live))

    def expect_end(self, vm_id: str) -> None:
        """Announce that the caller is ending this VM: when its VMM ends, the caller cleans up, not this supervisor."""
        if (live := self._live.get(vm_id)) is not None:
            live.ending = True

    @contextmanager
    def using(self, vm_id: str) -> Iterator[None]:
        """Mark a guest as used by a client, and so not stale, as long as the block lasts."""
        live = self._live.get(vm_id)
        if live is None:
            yield
            return
        live.users += 1
        try:
            yield
        finally:
            live.users -= 1
            live.used_s = asyncio.get_running_loop().time()

    def unused_s(self, vm_id: str) -> float:
        """Seconds since a client last did something in a running VM; 0 while one does."""
        live = self._live.get(vm_id)
        if live is None or live.users:
            return 0.0
        return asyncio.get_running_loop().time() - live.used_s

    async def reach(self, vm_id: str, *, deadline_s: float) -> Channel | None:
        """The channel to a guest, after waiting up to `deadline_s` for a reconnection. None when there is none."""
        live = self._live.get(vm_id)
        end_s = asyncio.get_running_loop().time() + deadline_s
        while live is not None and (live.channel is None or live.channel.closed):
            over = asyncio.get_running_loop().time() >= end_s or live.refusal is not None
            if over or self._live.get(vm_id) is not live:
                return None
            await asyncio.sleep(REACH_STEP_S)
        return live.channel if live is not None else None

    async def tried(self, vm_id: str) -> None:
        """Wait until it is known whether the guest of a VM that was just adopted answers."""
        if (live := self._live.get(vm_id)) is not None:
            await live.tried.wait()

    async def reach_again(self, vm_id: str, *, deadline_s: float) -> None:
        """Reconnect at once to a guest that could not answer for a while, and wait up to `deadline_s` for it."""
        if (live := self._live.get(vm_id)) is not None:
            live.hurry.set()
            await self.reach(vm_id, deadline_s=deadline_s)

    def find(self, vm_id: str) -> Live | None:
        return self._live.get(vm_id)

    def channel(self, vm_id: str, name: str) -> Channel:
        """The channel to a running guest. Raises `WrongState`, and `Unsupported` for a guest with another agent."""
        live = self._live.get(vm_id)
        if live is None:
            raise WrongState(f"the VM {name} is not running", hint=f"start it with `banger vm start {name}`")
        if live.refusal is not None:
            raise Unsupported(f"{name} cannot be used: {live.refusal.summary}", hint=live.refusal.hint)
        if live.channel is None or live.channel.closed:
            raise WrongState(
                f"the guest of {name} does not answer",
                hint=f"look at `banger vm logs {name}`, or restart it with `banger vm restart {name}`",
            )
        return live.channel

    async def forget(self, vm_id: str) -> None:
        """Stop watching, close the channel and kill the VMM. Nothing happens for a VM that does not run."""
        live = self._live.pop(vm_id, None)
        if live is None:
            return
        await _let_go(live)
        try:
            await live.machine.kill()
        finally:
            await live.machine.aclose()

    async def release(self) -> None:
        """Let go of all VMs, which keep running: the daemon ends and the next one adopts them."""
        for live in self._live.values():
            if live.watcher is not None:
                live.watcher.cancel()  # a VMM that ends from now on is the next daemon's to clear up after
        if self._endings:
            await asyncio.wait(self._endings)
        while self._live:
            _, live = self._live.popitem()
            await _let_go(live)
            await live.machine.aclose()

    async def _keep_channel(self, vm_id: str, live: Live) -> None:
        """Connect again whenever the channel is lost: a guest that hung, was paused or misbehaved is tried again.

        One that greets us and breaks the rules at once, over and over, is waited for longer each time.
        """
        loop = asyncio.get_running_loop()
        pause_s, again = RECONNECT_FIRST_S, False
        while True:
            if live.channel is not None:
                live.tried.set()
                began_s = loop.time()
                await live.channel.wait_closed()
                log.warning("the channel to %s is closed", vm_id)
                live.channel = None
                if again and loop.time() - began_s < STEADY_S:
                    await _sleep(pause_s, live.hurry)
                    pause_s = min(2 * pause_s, RECONNECT_LAST_S)
                else:
                    pause_s = RECONNECT_FIRST_S
            try:
                live.channel = await live.connect()
                live.refusal = None
                again = True
                log.info("connected to %s again", vm_id)
            except (BangerError, OSError) as error:
                log.info("%s does not answer: %s", vm_id, error)
                live.refusal = error if isinstance(error, Unsupported) else None
            except Exception:  # else nobody would ever try again
                log.exception("%s does not answer, for a reason that nobody foresaw", vm_id)
                live.refusal = None
            else:
                continue
            live.tried.set()
            await _sleep(pause_s, live.hurry)
            pause_s = min(2 * pause_s, RECONNECT_LAST_S)

    async def _watch(self, vm_id: str, live: Live) -> None:
        end = await live.machine.wait()
        log.info("the VMM of %s ended: %s", vm_id, end.reason)
        if self._live.get(vm_id) is live and not live.ending:
            # In a task of its own: clearing up cancels this one and waits for it.
            ending = asyncio.create_task(self._clear_up(vm_id, live, end.reason))
            self._endings.add(ending)
            ending.add_done_callback(self._endings.discard)

    async def _clear_up(self, vm_id: str, live: Live, reason: str) -> None:
        async with self.lock(vm_id):
            if self._on_end is None or self._live.get(vm_id) is not live:
                return  # whoever held the lock has cleared up, and perhaps started another VMM
            try:
                await self._on_end(vm_id, reason)
            except (BangerError, OSError) as error:
                log.warning("clearing up after %s failed: %r", vm_id, error)


async def _sleep(pause_s: float, hurry: asyncio.Event) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(pause_s):
            await hurry.wait()
    hurry.clear()


async def _let_go(live: Live) -> None:
    """End the tasks of a VM and close its channel."""
    tasks = [task for task in (live.watcher, live.keeper) if task is not None]
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
    live.tried.set()  # nobody tries any more
    if live.channel is not None:
        await live.channel.aclose()
