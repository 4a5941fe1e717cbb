"""Names for new VMs."""

from __future__ import annotations

from banger.core.clock import Ids
from banger.core.names import parse_vm_name, propose_vm_name
from banger.store.connection import Database
from banger.store.records import list_vms, name_taken


async def find_free_name(database: Database, ids: Ids, asked: str | None) -> str:
    """The name that was asked for, or a made-up one. Raises `Invalid`, `AlreadyExists`.

    It is reserved only when its row is written; somebody else may be quicker.
    """
    taken = {record.name for record in await database.call(list_vms)}
    if asked is not None:
        name = parse_vm_name(asked)
        if name in taken:
            raise name_taken(name)
        return name
    while (name := propose_vm_name(ids.number())) in taken:
        pass
    return name
