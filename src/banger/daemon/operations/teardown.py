"""Taking a VM apart: idempotent acts that need only the VM's id, so that a later daemon can do them too."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import asdict
from pathlib import Path

from banger.core.census import end_process, find_processes
from banger.core.errors import BangerError, Failed
from banger.core.files import remove_directory, write_durably
from banger.core.finishing import finish
from banger.core.layout import Layout
from banger.core.processes import ProcessIdentity, read_identity
from banger.core.strict import parse_object, read_dataclass
from banger.daemon.supervisor import Supervisor

log = logging.getLogger(__name__)


async def write_identity(path: Path, identity: ProcessIdentity) -> None:
    """Write down the identity of a process, also when cancelled meanwhile."""
    await finish(asyncio.to_thread(write_durably, path, json.dumps(asdict(identity)).encode()))


def read_identity_file(path: Path) -> ProcessIdentity | None:
    """The identity that was written, or None if there is no usable one."""
    try:
        return read_dataclass(ProcessIdentity, parse_object(path.read_bytes()))
    except (OSError, ValueError):
        return None


class Teardown:
    """Removes what a VM has on the host."""

    def __init__(self, *, layout: Layout, supervisor: Supervisor) -> None:
        self._layout = layout
        self._supervisor = supervisor

    async def remove_processes(self, vm_id: str) -> None:
        """End the VMM and the network process, whoever started them. All are tried; the first failure is raised."""
        failures: list[BangerError] = []
        try:
            await self._supervisor.forget(vm_id)
        except BangerError as error:
            failures.append(error)
        for identity in await self._find_processes(vm_id):
            try:
                if await end_process(identity):
                    log.info("ended process %d of %s", identity.pid, vm_id)
            except BangerError as error:
                failures.append(error)
        if failures:
            raise failures[0]

    async def _find_processes(self, vm_id: str) -> list[ProcessIdentity]:
        files = self._layout.vm(vm_id)
        known = [read_identity_file(path) for path in (files.process, files.network_process)]
        labelled = await asyncio.to_thread(find_processes, files.run, label=vm_id)
        return [
            identity
            for identity in dict.fromkeys([*known, *labelled])
            if identity is not None and read_identity(identity.pid) == identity
        ]

    async def remove_run_directory(self, vm_id: str) -> None:
        """Remove sockets, initramfs and identities of one run."""
        await self._check_no_process(vm_id)
        await self._remove(self._layout.vm(vm_id).run, self._layout.run / "trash")

    async def remove_state_directory(self, vm_id: str) -> None:
        """Remove the VM's disk, keys and logs."""
        await self._check_no_process(vm_id)
        await self._remove(self._layout.vm(vm_id).state, self._layout.trash)

    async def _check_no_process(self, vm_id: str) -> None:
        """Raise `Failed` while a process still runs: its files are kept, with those that identify it."""
        left = await self._find_processes(vm_id)
        if left:
            raise Failed(
                f"process {left[0].pid} of the VM does not end",
                hint="it hangs in the kernel; what it uses is kept, and removed when it is gone",
            )

    async def _remove(self, path: Path, trash: Path) -> None:
        await asyncio.to_thread(remove_directory, path, trash=trash)
