"""Waiting for a guest to boot, check by check, and reporting what is known about one that does not."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from banger.api.messages import StageEvent
from banger.core.errors import BangerError, Denied, Failed, TimedOut
from banger.core.layout import Layout
from banger.core.untrusted import printable, printable_lines
from banger.daemon.collaborators import Networks
from banger.daemon.context import Report
from banger.daemon.guest_channel import connect_guest
from banger.guest import readiness
from banger.guest.channel import Channel
from banger.guest.readiness import Check, Wait
from banger.hypervisor.console import read_console
from banger.hypervisor.contract import RunningMachine
from banger.store.records import VmRecord

log = logging.getLogger(__name__)

CONSOLE_BYTES: Final = 16384  # of a failed boot, in the error: where the VM goes, nothing else is left of its console
VMM_LOG_BYTES: Final = 2048
RETRY_S: Final = 0.25


@dataclass(frozen=True, slots=True)
class Ready:
    """A guest that is ready: its channel, and the seconds that each check took."""

    channel: Channel
    timings_s: dict[str, float]


class AwaitGuest:
    """Waits for the checks of one start, in their order."""

    def __init__(self, *, layout: Layout, networks: Networks) -> None:
        self._layout = layout
        self._networks = networks

    async def __call__(self, report: Report, record: VmRecord, machine: RunningMachine, *, wait: Wait) -> Ready:
        """Return when the guest is as ready as `wait` says. Raises `Failed` with everything that is known."""
        began_s = time.monotonic()
        stages = _Stages(report, record)
        stages.begin(readiness.KERNEL)
        channel = await self._first_word(record, machine)
        try:
            timings_s = readiness.divide_first_word(time.monotonic() - began_s, channel.hello)
            for check in (readiness.KERNEL, readiness.DISKS, readiness.AGENT):
                stages.end(check, timings_s.get(check.name))
            wanted: list[tuple[Check, Callable[[Channel], Awaitable[bool]]]] = []
            if record.spec.nat:
                wanted.append((readiness.NETWORK, self.network_is_up))
            if wait == "ssh":
                wanted.append((readiness.SSH, ssh_listens))
            for check, ask in wanted:
                stages.begin(check)
                check_began_s = time.monotonic()
                await self._until(record, machine, channel, check, ask)
                timings_s[check.name] = time.monotonic() - check_began_s
                stages.end(check, timings_s[check.name])
        except BaseException:
            await channel.aclose()
            raise
        return Ready(channel, timings_s)

    async def network_is_up(self, channel: Channel) -> bool:
        """Whether the guest says that its network has an address."""
        info = await channel.info()
        return self._networks.is_up(interface.address for interface in info.interfaces)

    async def _first_word(self, record: VmRecord, machine: RunningMachine) -> Channel:
        """Wait until the guest answers or the VMM ends, whichever comes first."""
        connecting = asyncio.ensure_future(
            connect_guest(self._layout.vm(record.id), first=True, deadline_s=readiness.FIRST_WORD_DEADLINE_S)
        )
        ending = asyncio.ensure_future(machine.wait())
        try:
            await asyncio.wait((connecting, ending), return_when=asyncio.FIRST_COMPLETED)
            if not connecting.done():
                raise self._failure(record, f"the VMM ended before the guest answered: {ending.result().reason}")
            try:
                channel = connecting.result()
            except BangerError as error:
                # A VMM that ends closes the channel first: the reason for its end says more than that.
                with suppress(TimeoutError):
                    async with asyncio.timeout(RETRY_S):
                        end = await asyncio.shield(ending)
                        raise self._failure(record, f"the VMM ended before the guest answered: {end.reason}") from error
                raise self._failure(record, error.summary) from error
            if channel.hello.phase != readiness.READY_PHASE:
                phase = channel.hello.phase
                await channel.aclose()
                raise self._failure(record, f"the guest got no further than {ascii(phase)}", phase=phase)
            return channel
        finally:
            ending.cancel()
            if not connecting.done():
                connecting.cancel()
                await asyncio.wait((connecting,))

    async def _until(
        self,
        record: VmRecord,
        machine: RunningMachine,
        channel: Channel,
        check: Check,
        ask: Callable[[Channel], Awaitable[bool]],
    ) -> None:
        """Ask until the answer is yes, the deadline of the check passes, or the VMM ends."""
        ending = asyncio.ensure_future(machine.wait())
        try:
            async with asyncio.timeout(check.deadline_s):
                while not await ask(channel):
                    done, _ = await asyncio.wait((ending,), timeout=RETRY_S)
                    if done:
                        raise self._failure(record, f"the VMM ended: {ending.result().reason}", check=check)
        except TimeoutError as error:
            reason = f"within {check.deadline_s:g} s it was not so that {check.meaning}"
            raise self._failure(record, reason, check=check) from error
        except Failed:
            raise
        except BangerError as error:
            raise self._failure(record, error.summary, check=check) from error
        finally:
            ending.cancel()

    def _failure(
        self, record: VmRecord, reason: str, *, phase: str | None = None, check: Check | None = None
    ) -> Failed:
        """The error for a guest that did not boot, with its last output: an ephemeral VM's files are about to go."""
        files = self._layout.vm(record.id)
        console = printable_lines(read_console(files.console)[-CONSOLE_BYTES:])
        check = check or readiness.find_failed_check(console, phase=phase)
        vmm_error = _last_line(files.vmm_log)
        log.error("%s did not boot (%s): %s\n%s", record.name, check.name, reason, console[-2048:])
        kept = "" if record.ephemeral else ", ".join(map(str, (files.console, files.vmm_log)))
        look = "" if record.ephemeral else f"`banger vm logs {record.name}` prints its whole console; "
        return Failed(
            f"{record.name} did not boot: {reason}",
            hint=look + check.hint,
            stage=check.name,
            vmm_error=vmm_error,
            console=console,
            kept=kept,
        )


class _Stages:
    """Reports the checks to a client. A stage's name contains the VM, because one request may start several."""

    def __init__(self, report: Report, record: VmRecord) -> None:
        self._report = report
        self._record = record

    def begin(self, check: Check) -> None:
        self._report(
            {
                "event": "stage",
                "stage": f"{check.name}.{self._record.id[:8]}",
                "text": f"booting {self._record.name}: {check.name}",
                "state": "begin",
                "detail": True,
            }
        )

    def end(self, check: Check, elapsed_s: float | None) -> None:
        event: StageEvent = {
            "event": "stage",
            "stage": f"{check.name}.{self._record.id[:8]}",
            "text": f"{self._record.name}: {check.name}",
            "state": "end",
            "detail": True,
        }
        if elapsed_s is not None:
            event["elapsed_s"] = elapsed_s
        self._report(event)


async def ssh_listens(channel: Channel) -> bool:
    """Whether port 22 inside the guest accepts a connection."""
    try:
        async with channel.connect_tcp(readiness.SSH_PORT):
            return True
    except (Denied, TimedOut):
        return False


def _last_line(path: Path) -> str:
    """The last line of a log, made printable; empty when there is none."""
    try:
        lines = path.read_bytes()[-VMM_LOG_BYTES:].strip().splitlines()
    except OSError:
        return ""
    return printable(lines[-1], limit=300) if lines else ""
