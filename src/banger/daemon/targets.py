"""Which VMs a request names."""

from __future__ import annotations

from collections.abc import Sequence

from banger.core.errors import BangerError, Invalid
from banger.store.records import VmRecord, resolve_vm

Target = tuple[str, VmRecord | BangerError]


def resolve_targets(records: Sequence[VmRecord], refs: Sequence[str]) -> list[Target]:
    """The VM that each of `refs` means, in the order given, all from one snapshot, or the error for it.

    Two references to the same VM are one target. Raises `Invalid` when no VM is named.
    """
    if not refs:
        raise Invalid("no VM was named", hint="`banger vm list` shows the VMs there are")
    found: dict[str, Target] = {}
    for ref in refs:
        try:
            record = resolve_vm(records, ref)
        except BangerError as error:
            found.setdefault(ref, (ref, error))
        else:
            found.setdefault(record.id, (ref, record))
    return list(found.values())
