"""Looking at VMs without changing them: health, answer times, costs, and what listens in them."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from banger.api.messages import GuestStats, PortView, VmStats
from banger.core.errors import BangerError, WrongState
from banger.core.layout import Layout
from banger.core.usage import read_usage
from banger.core.vm import State
from banger.daemon.collaborators import Images
from banger.daemon.operations.ports import list_ports
from banger.daemon.operations.readiness import AwaitGuest, ssh_listens
from banger.daemon.operations.teardown import read_identity_file
from banger.daemon.supervisor import Supervisor
from banger.guest import readiness
from banger.guest.channel import Channel
from banger.guest.info import GuestInfo
from banger.guest.readiness import Check, CheckOutcome, Outcome
from banger.network.traffic import read_traffic
from banger.store.records import VmRecord

ANSWER_DEADLINE_S: Final = 10.0


class Observe:
    """Read-only. A guest that does not answer delays its own request by `ANSWER_DEADLINE_S`, and no other."""

    def __init__(self, *, layout: Layout, supervisor: Supervisor, images: Images, await_guest: AwaitGuest) -> None:
        self._layout = layout
        self._supervisor = supervisor
        self._images = images
        self._await_guest = await_guest

    async def health(self, record: VmRecord) -> list[CheckOutcome]:
        """The checks of readiness, made now. Raises `WrongState` for a VM that does not run."""
        await self._check_running(record)
        began_s = time.monotonic()
        try:
            channel = self._supervisor.channel(record.id, record.name)
            await channel.ping(deadline_s=ANSWER_DEADLINE_S)
            info = await _ask_info(channel)
        except BangerError:
            # A guest that does not answer cannot be asked for the rest.
            silent = _judge(readiness.AGENT, began_s, good=False)
            return [silent if check is readiness.AGENT else _skipped(check) for check in readiness.CHECKS]
        outcomes = [
            _judge(readiness.KERNEL, began_s, good=True),
            _judge(readiness.AGENT, began_s, good=True),
            _judge(readiness.DISKS, began_s, good=self._has_disks(channel, info)),
        ]
        for check, wanted in ((readiness.NETWORK, record.spec.nat), (readiness.SSH, self._may_have_ssh(record))):
            if not wanted:
                outcomes.append(_skipped(check))
                continue
            began_s = time.monotonic()
            ask = self._await_guest.network_is_up if check is readiness.NETWORK else ssh_listens
            try:
                async with asyncio.timeout(ANSWER_DEADLINE_S):
                    good = await ask(channel)
            except (TimeoutError, BangerError):
                good = False
            outcomes.append(_judge(check, began_s, good=good, uptime_s=info.uptime_s))
        return outcomes

    async def ping(self, record: VmRecord) -> float:
        """Seconds until the agent answered. Raises `WrongState`, `TimedOut`."""
        await self._check_running(record)
        channel = self._supervisor.channel(record.id, record.name)
        began_s = time.monotonic()
        await channel.ping(deadline_s=ANSWER_DEADLINE_S)
        return time.monotonic() - began_s

    async def ports(self, record: VmRecord) -> list[PortView]:
        """What listens in a running guest. Raises `WrongState`, `TimedOut`."""
        await self._check_running(record)
        return await list_ports(self._supervisor.channel(record.id, record.name))

    async def stats(self, record: VmRecord) -> VmStats:
        """What a VM costs, and what its guest reports; if the guest does not answer, that is the `problem`."""
        files = self._layout.vm(record.id)
        live = self._supervisor.find(record.id)
        vmm = read_usage(live.machine.identity) if live is not None else None
        relay_identity = read_identity_file(files.network_process) if live is not None else None
        relay = read_usage(relay_identity) if relay_identity is not None else None
        traffic = read_traffic(files.network_traffic) if relay is not None else None
        guest: GuestStats | None = None
        problem = ""
        if live is not None:
            try:
                await self._check_running(record)
                guest = view_guest(await _ask_info(self._supervisor.channel(record.id, record.name)))
            except BangerError as error:
                problem = error.summary
        try:
            disk_used_bytes = files.data_disk.stat().st_blocks * 512
        except OSError:
            disk_used_bytes = 0
        return {
            "state": record.state.value,
            "cpu_s": round(vmm.cpu_s, 2) if vmm is not None else None,
            "rss_bytes": vmm.rss_bytes if vmm is not None else None,
            "network_rss_bytes": relay.rss_bytes if relay is not None else None,
            "network_sent_bytes": traffic.sent_bytes if traffic is not None else None,
            "network_received_bytes": traffic.received_bytes if traffic is not None else None,
            "disk_bytes": record.spec.disk_bytes,
            "disk_used_bytes": disk_used_bytes,
            "guest": guest,
            "problem": problem,
        }

    async def _check_running(self, record: VmRecord) -> None:
        if record.state is State.PAUSED:
            raise WrongState(
                f"the VM {record.name} is paused", hint=f"continue it with `banger vm resume {record.name}`"
            )
        if self._supervisor.find(record.id) is None:
            self._supervisor.channel(record.id, record.name)  # raises, in its own words
        await self._supervisor.tried(record.id)

    def _may_have_ssh(self, record: VmRecord) -> bool:
        """Whether an ssh server can be expected: without the image's init, nothing starts one."""
        try:
            return self._images.read(record.spec.image_digest).init is not None
        except BangerError:
            return True

    @staticmethod
    def _has_disks(channel: Channel, info: GuestInfo) -> bool:
        return channel.hello.phase == readiness.READY_PHASE and info.root_total_bytes > 0


def view_guest(info: GuestInfo) -> GuestStats:
    """What a guest says of itself, as clients see it."""
    return {
        "load": list(info.load),
        "uptime_s": info.uptime_s,
        "memory_total_bytes": info.memory_total_bytes,
        "memory_available_bytes": info.memory_available_bytes,
        "root_total_bytes": info.root_total_bytes,
        "root_free_bytes": info.root_free_bytes,
        "processes": info.process_count,
        "kernel": info.kernel,
    }


async def _ask_info(channel: Channel) -> GuestInfo:
    return await channel.info(deadline_s=ANSWER_DEADLINE_S)


def _judge(check: Check, began_s: float, *, good: bool, uptime_s: float = 0.0) -> CheckOutcome:
    return readiness.judge(check, good=good, elapsed_s=time.monotonic() - began_s, uptime_s=uptime_s)


def _skipped(check: Check) -> CheckOutcome:
    return CheckOutcome(name=check.name, outcome=Outcome.SKIPPED)
