"""Taking a VM apart: idempotent acts that need nothing but the VM's id, so that a later daemon can do them too."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import asdict
from pathlib import Path

from banger.core.census import end_process, find_processes
from banger.core.files import remove_directory, write_durably
from banger.core.layout import Layout
from banger.core.processes import ProcessIdentity
from banger.daemon.supervisor import Supervisor

log = logging.getLogger(__name__)


def write_identity(path: Path, identity: ProcessIdentity) -> None:
    """Remember who a process is."""
    write_durably(path, json.dumps(asdict(identity)).encode())


def read_identity_file(path: Path) -> ProcessIdentity | None:
    """Who it was, or None when nothing usable was written."""
    try:
        return ProcessIdentity(**json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


class Teardown:
    """Removes what a VM has on the host."""

    def __init__(self, *, layout: Layout, supervisor: Supervisor) -> None:
        self._layout = layout
        self._supervisor = supervisor

    async def remove_processes(self, vm_id: str) -> None:
        """End the VMM and the network process, whoever started them."""
        await self._supervisor.forget(vm_id)
        files = self._layout.vm(vm_id)
        known = [read_identity_file(path) for path in (files.process, files.network_process)]
        labelled = await asyncio.to_thread(find_processes, files.run, label=vm_id)
        for identity in dict.fromkeys([*known, *labelled]):
            if identity is not None and await end_process(identity):
                log.info("ended process %d of %s", identity.pid, vm_id)

    async def remove_run_directory(self, vm_id: str) -> None:
        """Remove sockets, initramfs and identities of one run."""
        await self._remove(self._layout.vm(vm_id).run, self._layout.run / "trash")

    async def remove_state_directory(self, vm_id: str) -> None:
        """Remove the VM's disk, keys and logs."""
        await self._remove(self._layout.vm(vm_id).state, self._layout.trash)

    async def _remove(self, path: Path, trash: Path) -> None:
        await asyncio.to_thread(remove_directory, path, trash=trash)
