"""Starting, adopting and ending a QEMU process."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final

from banger.core.errors import Failed, TimedOut
from banger.core.processes import ProcessIdentity, open_pidfd, read_identity, start
from banger.core.sockets import listen_unix
from banger.core.untrusted import printable
from banger.hypervisor.console import ConsoleDrain
from banger.hypervisor.contract import MachineEnd, MachineSpec, RunningMachine
from banger.hypervisor.qemu.board import Accelerator, Board
from banger.hypervisor.qemu.ending import explain_end
from banger.hypervisor.qemu.monitor import execute
from banger.hypervisor.qemu.plan import Inherited, plan_arguments
from banger.hypervisor.vmm_log import LogDrain, clear_log, open_for_vmm

STATUS_DEADLINE_S: Final = 2.0  # asyncio learns of a child's end after the pidfd does
KILL_DEADLINE_S: Final = 10.0
_LOG_TAIL_BYTES: Final = 2048


class QemuMachine:
    """A QEMU process, known by its pidfd. `process` is the same as our child; None if another daemon started it."""

    def __init__(
        self,
        *,
        spec: MachineSpec,
        identity: ProcessIdentity,
        pidfd: int,
        process: asyncio.subprocess.Process | None,
    ) -> None:
        self.identity = identity
        self._process = process
        self._spec = spec
        self._pidfd = pidfd
        self._ended = asyncio.Event()
        self._drain: ConsoleDrain | None = None
        self._log: LogDrain | None = None
        self._killed = False
        asyncio.get_running_loop().add_reader(pidfd, self._on_end)

    async def attach(self) -> None:
        """Start to record what the VMM and its guest print. A VMM that is just ending is not an error."""
        with suppress(OSError):
            self._log = LogDrain(self._spec.log_pipe, self._spec.log)
        with suppress(OSError):
            self._drain = await ConsoleDrain.begin(self._spec.console_socket, self._spec.console)

    async def wait(self) -> MachineEnd:
        await self._ended.wait()
        console = b""
        if self._drain is not None:
            drain = self._drain
            await drain.last_words()
            console = drain.tail
        status = None
        if self._process is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(STATUS_DEADLINE_S):
                    status = await self._process.wait()
        said = read_log_tail(self._spec.log)
        return explain_end(killed=self._killed, status=status, said=said, console=console)

    async def kill(self) -> None:
        if self._ended.is_set():
            return
        self._killed = True
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        try:
            async with asyncio.timeout(KILL_DEADLINE_S):
                await self._ended.wait()
        except TimeoutError as error:
            raise TimedOut(f"QEMU did not end within {KILL_DEADLINE_S:g} s after SIGKILL") from error

    def signal(self, number: signal.Signals) -> None:
        if not self._ended.is_set():
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)

    async def paused(self) -> bool:
        status = await execute(self._spec.control, "query-status")
        return isinstance(status, dict) and status.get("status") == "paused"

    async def pause(self) -> None:
        await execute(self._spec.control, "stop")

    async def resume(self) -> None:
        await execute(self._spec.control, "cont")

    async def aclose(self) -> None:
        if self._drain is not None:
            if self._ended.is_set():
                await self._drain.last_words()
            self._drain.close()
            self._drain = None
        self._close_log()
        if self._pidfd >= 0:
            asyncio.get_running_loop().remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1

    def _on_end(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        self._close_log()
        self._ended.set()

    def _close_log(self) -> None:
        if self._log is not None:
            self._log.close()
            self._log = None


class Qemu:
    """The backend. `program` is where QEMU for the board is."""

    def __init__(self, *, program: str, board: Board, accelerator: Accelerator) -> None:
        self._program = program
        self._board = board
        self._accelerator = accelerator

    @property
    def name(self) -> str:
        return f"qemu-{self._accelerator}"

    async def start(self, spec: MachineSpec) -> RunningMachine:
        with ExitStack() as sockets:
            listeners = []
            for path in (spec.channel, spec.console_socket, spec.control):
                path.unlink(missing_ok=True)
                listeners.append(sockets.enter_context(listen_unix(path, backlog=1)))
            channel, console, control = (listener.fileno() for listener in listeners)
            argv = plan_arguments(
                self._program,
                self._board,
                self._accelerator,
                spec,
                Inherited(channel=channel, console=console, control=control),
            )
            messages = _open_messages(spec)
            sockets.callback(os.close, messages)
            process = await _launch(argv, spec, messages, (channel, console, control))
            try:
                return await self._take_over(process, spec)
            except BaseException:
                with suppress(ProcessLookupError):
                    process.kill()
                await asyncio.shield(process.wait())
                raise

    async def _take_over(self, process: asyncio.subprocess.Process, spec: MachineSpec) -> QemuMachine:
        """Called while we still hold the VMM's end of its log, so that its output can be read even if it is gone."""
        identity = read_identity(process.pid)
        pidfd = os.pidfd_open(process.pid)
        if identity is None:
            os.close(pidfd)
            LogDrain(spec.log_pipe, spec.log).close()
            raise Failed(f"QEMU ended at once: {read_log_tail(spec.log) or 'it said nothing'}")
        machine = QemuMachine(spec=spec, identity=identity, pidfd=pidfd, process=process)
        try:
            await machine.attach()
        except BaseException:
            await machine.aclose()
            raise
        return machine

    async def adopt(self, spec: MachineSpec, identity: ProcessIdentity) -> RunningMachine | None:
        pidfd = open_pidfd(identity)
        if pidfd is None:
            return None
        machine = QemuMachine(spec=spec, identity=identity, pidfd=pidfd, process=None)
        await machine.attach()
        return machine


async def _launch(
    argv: list[str], spec: MachineSpec, messages: int, descriptors: tuple[int, ...]
) -> asyncio.subprocess.Process:
    return await start(argv, cwd=spec.run_directory, stdout=messages, stderr=messages, pass_fds=descriptors)


def _open_messages(spec: MachineSpec) -> int:
    """Open the log of this run of the VMM; output of an earlier run is removed."""
    clear_log(spec.log)
    return open_for_vmm(spec.log_pipe)


def read_log_tail(path: Path) -> str:
    """The last line that QEMU printed, made printable; empty if there is none."""
    try:
        lines = path.read_bytes()[-_LOG_TAIL_BYTES:].strip().splitlines()
    except OSError:
        return ""
    return printable(lines[-1], limit=300) if lines else ""
