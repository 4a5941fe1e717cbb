"""Records of what was last sent to each workspace, as files in the VM's directory."""

from __future__ import annotations

import asyncio
import hashlib
import os
from pathlib import Path

from banger.core.files import make_private_directory, write_durably
from banger.core.layout import Layout
from banger.daemon.context import Request
from banger.store.records import VmRecord, WorkspaceRecord
from banger.workspace.known import KNOWN_LIMIT_BYTES, Known, decode_known, encode_known
from banger.workspace.work_tree import read_small_file


class KnownFiles:
    """One file for each base that a workspace had. The old one counts until the row names the new base."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    async def write(self, vm_id: str, guest_path: str, known: Known, *, durable: bool) -> None:
        """Write the record. Raises `OSError`."""

        def work() -> None:
            path = self._path(vm_id, guest_path, known.base)
            make_private_directory(path.parent)
            if durable:
                write_durably(path, encode_known(known))
            else:
                path.touch(mode=0o600)
                path.write_bytes(encode_known(known))

        await asyncio.to_thread(work)

    async def read(self, vm_id: str, workspace: WorkspaceRecord) -> Known | None:
        """What the guest has of a workspace; None when that is unknown."""
        if workspace.base is None:
            return None
        path = self._path(vm_id, workspace.guest_path, workspace.base)
        found = await asyncio.to_thread(read_small_file, path, limit_bytes=KNOWN_LIMIT_BYTES)
        known = await asyncio.to_thread(decode_known, found[0]) if found is not None else None
        return known if known is not None and known.base == workspace.base else None

    async def tidy(self, vm_id: str, workspace: WorkspaceRecord) -> None:
        """Remove the records of earlier bases. Never fails: it is tried again the next time."""

        def work() -> None:
            current = self._path(vm_id, workspace.guest_path, workspace.base or "")
            for path in current.parent.glob(f"{current.stem}.*"):
                if path != current:
                    path.unlink(missing_ok=True)

        try:
            await asyncio.to_thread(work)
        except OSError:
            return

    def _path(self, vm_id: str, guest_path: str, base: str) -> Path:
        return self._layout.vm(vm_id).workspaces / f"{_shorten(guest_path, 24)}.{base}"


def name_operation(request: Request, kind: str, record: VmRecord, workspace: WorkspaceRecord) -> str:
    """The id of an operation on one workspace; a request may have several on one VM."""
    return f"{request.operation}.{kind}.{record.id[:8]}.{_shorten(workspace.guest_path, 8)}"


def _shorten(guest_path: str, digits: int) -> str:
    return hashlib.sha256(os.fsencode(guest_path)).hexdigest()[:digits]
