"""Change what a VM is: more processors, memory or disk, a way out, another name, a longer life."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from banger.core.errors import Invalid
from banger.core.layout import Layout
from banger.core.names import parse_vm_name
from banger.core.sizes import format_size
from banger.core.vm import HostSize, VmSpec, check_sizes, check_sizes_here
from banger.daemon.collaborators import Networks
from banger.daemon.context import Request
from banger.daemon.journal import Journal, Step
from banger.daemon.lifetimes import Lifetimes
from banger.daemon.manifest import put_manifest
from banger.store.connection import Connection
from banger.store.records import OpenOperation, VmRecord, set_lifetime, set_name, set_spec


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What to change; None leaves a value as it is. `ttl_s` 0 means for ever."""

    name: str | None = None
    vcpu: int | None = None
    memory_mib: int | None = None
    disk_bytes: int | None = None
    nat: bool | None = None
    ttl_s: float | None = None


def plan_change(spec: VmSpec, change: Change, host: HostSize) -> VmSpec:
    """The new spec. Raises `Invalid` for sizes that are impossible here, and for a disk that would shrink."""
    planned = replace(
        spec,
        vcpu=spec.vcpu if change.vcpu is None else change.vcpu,
        memory_mib=spec.memory_mib if change.memory_mib is None else change.memory_mib,
        disk_bytes=spec.disk_bytes if change.disk_bytes is None else change.disk_bytes,
        nat=spec.nat if change.nat is None else change.nat,
    )
    changed = [
        field
        for field in ("vcpu", "memory_mib", "disk_bytes", "nat")
        if getattr(planned, field) != getattr(spec, field)
    ]
    planned = replace(planned, origins={**spec.origins, **dict.fromkeys(changed, "flag")})
    if planned.disk_bytes < spec.disk_bytes:
        raise Invalid(
            f"a disk of {format_size(spec.disk_bytes)} cannot become {format_size(planned.disk_bytes)}",
            hint="a disk can only grow; make a new VM for a smaller one",
        )
    check_sizes(vcpu=planned.vcpu, memory_mib=planned.memory_mib, disk_bytes=planned.disk_bytes)
    if not {"vcpu", "memory_mib"}.isdisjoint(changed):
        check_sizes_here(host, vcpu=planned.vcpu, memory_mib=planned.memory_mib)
    return planned


class ChangeVm:
    """The operation `set`. Rolls back. What a running VMM was started with changes at its next start."""

    kind: Final = "set"

    def __init__(
        self, *, layout: Layout, host: HostSize, journal: Journal, networks: Networks, lifetimes: Lifetimes
    ) -> None:
        self._layout = layout
        self._host = host
        self._journal = journal
        self._networks = networks
        self._lifetimes = lifetimes

    async def __call__(self, request: Request, record: VmRecord, change: Change) -> VmRecord:
        """Change a VM and return its new record. The caller holds the VM's lock. Raises `Invalid`, `AlreadyExists`."""
        spec = plan_change(record.spec, change, self._host)
        name = record.name if change.name is None else parse_vm_name(change.name)
        if spec.nat and not record.spec.nat:
            self._networks.check()
        lifetime = record.lifetime if change.ttl_s is None else self._lifetimes.begin(change.ttl_s)
        changed = replace(record, name=name, spec=spec, lifetime=lifetime)
        if changed == record:
            return record

        def finish(connection: Connection) -> None:
            set_spec(connection, record.id, spec)
            set_lifetime(connection, record.id, lifetime)

        await self._journal.roll_back_on_failure(
            kind=self.kind,
            operation_id=f"{request.operation}.{self.kind}.{record.id[:8]}",
            vm_id=record.id,
            # The name is taken at once, so that of two requests for it one fails before anything was done.
            begin=lambda connection: set_name(connection, record.id, name),
            steps=self.steps(record, changed),
            finish=finish,
            undone=lambda connection: set_name(connection, record.id, record.name),
            arguments={"name": record.name},
        )
        return changed

    async def settle(self, operation: OpenOperation, record: VmRecord) -> None:
        """Undo what a dead daemon began: the row still has the old spec, the arguments the old name."""
        before = replace(record, name=operation.arguments["name"])
        await self._journal.undo_begun(
            operation, self.steps(before, before), lambda connection: set_name(connection, record.id, before.name)
        )

    def steps(self, before: VmRecord, after: VmRecord) -> Sequence[Step]:
        """The steps; their undo needs `before` alone."""
        files = self._layout.vm(before.id)

        async def grow_disk() -> None:
            if files.data_disk.stat().st_size < after.spec.disk_bytes:
                os.truncate(files.data_disk, after.spec.disk_bytes)

        async def shrink_disk() -> None:
            # Nobody has used the new part: the VM's lock is held, and only a start makes the guest grow.
            with suppress(FileNotFoundError):
                if files.data_disk.stat().st_size > before.spec.disk_bytes:
                    os.truncate(files.data_disk, before.spec.disk_bytes)

        async def remember() -> None:
            await put_manifest(files, after)

        async def remember_again() -> None:
            with suppress(FileNotFoundError):
                await put_manifest(files, before)

        return (Step("disk", grow_disk, shrink_disk), Step("manifest", remember, remember_again))
