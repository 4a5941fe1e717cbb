"""`vm.json` in each VM's directory: what cannot be recovered from elsewhere if the database is lost.

It holds the durable part of the row and no more: whether the VM runs is seen from its processes. It is a second witness
too: a VM is thrown away for having been left half made, or for having belonged to a request that died, only when row
and manifest agree, because a row may be older than it looks (a lost write-ahead log takes the last commits with it).
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from banger.core.errors import BangerError
from banger.core.files import write_durably
from banger.core.finishing import finish
from banger.core.layout import VmLayout
from banger.core.names import parse_vm_name
from banger.core.strict import parse_object, read_dataclass
from banger.core.vm import State, VmSpec, check_sizes
from banger.store.records import VmRecord, WorkspaceRecord

log = logging.getLogger(__name__)

LIMIT_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class _Head:
    id: str
    name: str
    created_at_s: float
    ephemeral: bool


def write_manifest(files: VmLayout, record: VmRecord) -> None:
    """Replace the manifest durably. Raises `OSError`."""
    head = _Head(id=record.id, name=record.name, created_at_s=record.created_at_s, ephemeral=record.ephemeral)
    content = {
        **asdict(head),
        "spec": asdict(record.spec),
        "workspaces": [asdict(workspace) for workspace in record.workspaces],
    }
    write_durably(files.manifest, json.dumps(content, indent=2, sort_keys=True).encode())


async def put_manifest(files: VmLayout, record: VmRecord) -> None:
    """`write_manifest` in a thread: a disk that is busy with gigabytes lets a small file wait too."""
    await finish(asyncio.to_thread(write_manifest, files, record))


def rewrite_manifest(files: VmLayout, record: VmRecord) -> None:
    """Bring the manifest up to date: do it after every commit that changes what it holds.

    The commit stands whatever happens here; the next daemon repairs a manifest that was not written.
    """
    try:
        write_manifest(files, record)
    except OSError as error:
        log.warning("the manifest of %s could not be written: %s", record.name, error)


async def put_manifest_again(files: VmLayout, record: VmRecord) -> None:
    """`rewrite_manifest` in a thread."""
    await finish(asyncio.to_thread(rewrite_manifest, files, record))


def read_manifest(path: Path) -> VmRecord | None:
    """The VM that a manifest describes, as a stopped one; None when it is absent, damaged or not ours.

    The VM's id must be the name of its directory.
    """
    try:
        content = _read_own_file(path)
    except OSError:
        return None
    try:
        return _decode(parse_object(content), expected_id=path.parent.name)
    except (ValueError, BangerError) as error:
        log.warning("the manifest %s is unusable: %s", path, error)
        return None


def same_manifest(one: VmRecord, other: VmRecord) -> bool:
    """Whether both records have the same manifest."""
    return _durable(one) == _durable(other)


def _durable(record: VmRecord) -> tuple[object, ...]:
    workspaces = sorted(record.workspaces, key=lambda workspace: workspace.guest_path)
    return (record.id, record.name, record.created_at_s, record.ephemeral, record.spec, workspaces)


def _decode(content: Mapping[str, Any], *, expected_id: str) -> VmRecord:
    head = read_dataclass(_Head, {name: value for name, value in content.items() if name not in ("spec", "workspaces")})
    if head.id != expected_id or str(UUID(head.id)) != head.id:
        raise ValueError("the id is not the name of the directory")
    spec = read_dataclass(VmSpec, content.get("spec"))
    check_sizes(vcpu=spec.vcpu, memory_mib=spec.memory_mib, disk_bytes=spec.disk_bytes)
    workspaces = content.get("workspaces", [])
    if not isinstance(workspaces, list):
        raise ValueError("workspaces is not a list")
    return VmRecord(
        id=head.id,
        name=parse_vm_name(head.name),
        state=State.STOPPED,
        spec=spec,
        ephemeral=head.ephemeral,
        created_at_s=head.created_at_s,
        workspaces=tuple(read_dataclass(WorkspaceRecord, workspace) for workspace in workspaces),
    )


def _read_own_file(path: Path) -> bytes:
    """Read a regular file of this user, of bounded size and not through a symbolic link. Raises `OSError`."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with suppress(OSError), os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if stat.S_ISREG(status.st_mode) and status.st_uid == os.getuid() and status.st_size <= LIMIT_BYTES:
            return file.read(LIMIT_BYTES)
    raise OSError(f"{path} is not a readable file of ours")
