"""Rows as frozen values, and the functions that read and write them inside a transaction."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Final, TypeVar

from banger.core.errors import AlreadyExists, NotFound
from banger.core.nearest import hint_nearest
from banger.core.strict import parse_object, read_dataclass
from banger.core.untrusted import printable
from banger.core.vm import State, VmSpec

RUNNING_KINDS: Final = frozenset(("start", "stop", "kill", "pause", "resume"))
Member = TypeVar("Member", str, float)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkspaceRecord:
    """A repository's copy in a VM. `base` is the commit in the guest that an export is compared with."""

    guest_path: str
    source: str
    head: str | None
    branch: str | None
    base: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetime:
    """The rest of a VM's time to live, as of a moment of the host's uptime.

    Wall clocks jump; so the moment is one of CLOCK_BOOTTIME (clock_gettime(2)), in seconds, of the boot with `boot_id`.
    """

    left_s: float
    marked_s: float
    boot_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VmRecord:
    """The row of a VM. `running_spec` is what the current VMM was started with."""

    id: str
    name: str
    state: State
    spec: VmSpec
    ephemeral: bool
    created_at_s: float
    started_at_s: float | None = None
    accelerator: str = ""
    boot_id: str = ""
    problem: str = ""
    timings_s: Mapping[str, float] = field(default_factory=dict)
    workspaces: tuple[WorkspaceRecord, ...] = ()
    running_spec: VmSpec | None = None
    lifetime: Lifetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenOperation:
    """An operation whose end was never written: its daemon died. `steps` are those with an intent, in order."""

    id: str
    kind: str
    vm_id: str
    steps: tuple[str, ...]
    arguments: Mapping[str, str]


def insert_vm(connection: sqlite3.Connection, record: VmRecord) -> None:
    """Write a new row. Raises `AlreadyExists` when the name is taken."""
    try:
        connection.execute(
            "INSERT INTO vm (id, name, state, spec, ephemeral, created_at_s) VALUES (?, ?, ?, ?, ?, ?)",
            (record.id, record.name, record.state, encode_spec(record.spec), record.ephemeral, record.created_at_s),
        )
        if record.lifetime is not None:
            set_lifetime(connection, record.id, record.lifetime)
    except sqlite3.IntegrityError as error:
        raise name_taken(record.name) from error


def name_taken(name: str) -> AlreadyExists:
    """The error for a name that another VM has."""
    return AlreadyExists(
        f"there is already a VM named {name}",
        hint=f"choose another name, or delete it with `banger vm delete {name}`",
        name=name,
    )


def set_state(connection: sqlite3.Connection, vm_id: str, state: State, *, problem: str = "") -> None:
    """Move a VM to `state`; leaving `running` clears what belongs to that run."""
    connection.execute("UPDATE vm SET state = ?, problem = ? WHERE id = ?", (state, problem, vm_id))
    if state is State.STOPPED:
        connection.execute(
            "UPDATE vm SET started_at_s = NULL, boot_id = '', accelerator = '', running_spec = NULL WHERE id = ?",
            (vm_id,),
        )


def set_running(connection: sqlite3.Connection, record: VmRecord) -> None:
    """Store what is known of a VM that has just become ready."""
    connection.execute(
        "UPDATE vm SET state = ?, problem = '', started_at_s = ?, accelerator = ?, boot_id = ?, timings = ?,"
        " running_spec = ? WHERE id = ?",
        (
            State.RUNNING,
            record.started_at_s,
            record.accelerator,
            record.boot_id,
            json.dumps(dict(record.timings_s)),
            encode_spec(record.running_spec or record.spec),
            record.id,
        ),
    )


def set_spec(connection: sqlite3.Connection, vm_id: str, spec: VmSpec) -> None:
    """Change a VM's spec, from its next start on."""
    connection.execute("UPDATE vm SET spec = ? WHERE id = ?", (encode_spec(spec), vm_id))


def set_name(connection: sqlite3.Connection, vm_id: str, name: str) -> None:
    """Give a VM another name. Raises `AlreadyExists` when it is taken."""
    try:
        connection.execute("UPDATE vm SET name = ? WHERE id = ?", (name, vm_id))
    except sqlite3.IntegrityError as error:
        raise name_taken(name) from error


def set_lifetime(connection: sqlite3.Connection, vm_id: str, lifetime: Lifetime | None) -> None:
    """Set how long a VM still lives; None means for ever."""
    left_s, marked_s, boot_id = (
        (None, 0.0, "") if lifetime is None else (lifetime.left_s, lifetime.marked_s, lifetime.boot_id)
    )
    connection.execute(
        "UPDATE vm SET ttl_left_s = ?, ttl_marked_s = ?, ttl_boot_id = ? WHERE id = ?",
        (left_s, marked_s, boot_id, vm_id),
    )


def set_ephemeral(connection: sqlite3.Connection, vm_id: str, *, ephemeral: bool) -> None:
    """Set whether the VM is deleted when the request that made it ends."""
    connection.execute("UPDATE vm SET ephemeral = ? WHERE id = ?", (ephemeral, vm_id))


def delete_vm(connection: sqlite3.Connection, vm_id: str) -> None:
    """Forget a VM, its workspaces and its journal."""
    connection.execute("DELETE FROM operation WHERE vm_id = ? AND state <> 'open'", (vm_id,))
    connection.execute("DELETE FROM vm WHERE id = ?", (vm_id,))


def list_vms(connection: sqlite3.Connection) -> list[VmRecord]:
    """All VMs by name."""
    workspaces: dict[str, list[WorkspaceRecord]] = {}
    for row in connection.execute("SELECT * FROM workspace ORDER BY guest_path"):
        workspaces.setdefault(row["vm_id"], []).append(
            WorkspaceRecord(
                guest_path=row["guest_path"],
                source=row["source"],
                head=row["head"],
                branch=row["branch"],
                base=row["base"],
            )
        )
    return [
        VmRecord(
            id=row["id"],
            name=row["name"],
            state=State(row["state"]),
            spec=decode_spec(row["spec"]),
            ephemeral=bool(row["ephemeral"]),
            created_at_s=row["created_at_s"],
            started_at_s=row["started_at_s"],
            accelerator=row["accelerator"],
            boot_id=row["boot_id"],
            problem=row["problem"],
            timings_s=_read_members(row["timings"], float),
            workspaces=tuple(workspaces.get(row["id"], ())),
            running_spec=decode_spec(row["running_spec"]) if row["running_spec"] is not None else None,
            lifetime=_read_lifetime(row),
        )
        for row in connection.execute("SELECT * FROM vm ORDER BY name")
    ]


def resolve_vm(records: Sequence[VmRecord], ref: str) -> VmRecord:
    """Find the VM that `ref` means: a name, an id, or the start of exactly one id (four characters or more).

    Raises `NotFound`, also for a prefix that fits several.
    """
    for record in records:
        if ref in (record.name, record.id):
            return record
    fitting = [record for record in records if len(ref) >= 4 and record.id.startswith(ref)]
    if len(fitting) == 1:
        return fitting[0]
    shown = printable(ref, limit=80)
    if fitting:
        names = ", ".join(record.name for record in fitting[:5])
        raise NotFound(f"{shown} could mean several VMs: {names}", hint="give a name or more of the id")
    hint = hint_nearest(ref, {record.name for record in records}, otherwise="`banger vm list` shows the VMs there are")
    raise NotFound(f"there is no VM {shown}", hint=hint)


def put_workspace(connection: sqlite3.Connection, vm_id: str, workspace: WorkspaceRecord) -> None:
    """Remember a workspace, replacing one at the same place."""
    connection.execute(
        "INSERT OR REPLACE INTO workspace (vm_id, guest_path, source, head, branch, base) VALUES (?, ?, ?, ?, ?, ?)",
        (vm_id, workspace.guest_path, workspace.source, workspace.head, workspace.branch, workspace.base),
    )


def insert_operation(
    connection: sqlite3.Connection,
    *,
    operation_id: str,
    kind: str,
    vm_id: str,
    started_at_s: float,
    arguments: Mapping[str, str] | None = None,
) -> None:
    """Open an operation. `arguments` is what a later daemon needs to settle it."""
    connection.execute(
        "INSERT INTO operation (id, kind, vm_id, state, started_at_s, arguments) VALUES (?, ?, ?, 'open', ?, ?)",
        (operation_id, kind, vm_id, started_at_s, json.dumps(dict(arguments or {}))),
    )


def end_operation(
    connection: sqlite3.Connection, operation_id: str, *, state: str, ended_at_s: float, error: str = ""
) -> None:
    """Close an operation as `done`, `failed` or `undone`; its steps are no longer needed."""
    connection.execute(
        "UPDATE operation SET state = ?, ended_at_s = ?, error = ? WHERE id = ?",
        (state, ended_at_s, error, operation_id),
    )
    connection.execute("DELETE FROM step WHERE operation_id = ?", (operation_id,))
    connection.execute(
        "DELETE FROM operation WHERE state <> 'open' AND id NOT IN"
        " (SELECT id FROM operation WHERE state <> 'open' ORDER BY rowid DESC LIMIT 500)"
    )


def supersede(connection: sqlite3.Connection, operation_id: str, *, under_way: Collection[str]) -> None:
    """Delete open operations on the same VM that are superseded by this one, which ends now.

    Those `under_way` stay: a VM may be copied from and exported several times at once. The others are what earlier
    tries left when they failed; settling them later would undo what has now succeeded. An operation has the last word
    over its own kind, over others that decide whether a VM runs if it does, and a `delete` over all.
    """
    row = connection.execute("SELECT vm_id, kind FROM operation WHERE id = ?", (operation_id,)).fetchone()
    if row is None:
        return
    vm_id, kind = row
    for other in connection.execute(
        "SELECT id, kind FROM operation WHERE state = 'open' AND vm_id = ? AND id <> ?", (vm_id, operation_id)
    ).fetchall():
        if other["id"] in under_way:
            continue
        if kind in (other["kind"], "delete") or {kind, other["kind"]} <= RUNNING_KINDS:
            connection.execute("DELETE FROM operation WHERE id = ?", (other["id"],))


def put_step(connection: sqlite3.Connection, operation_id: str, *, seq: int, name: str, state: str) -> None:
    """Write a step's `intent`, `done` or `undone`."""
    connection.execute(
        "INSERT OR REPLACE INTO step (operation_id, seq, name, state) VALUES (?, ?, ?, ?)",
        (operation_id, seq, name, state),
    )


def list_open_operations(connection: sqlite3.Connection) -> list[OpenOperation]:
    """Operations that a dead daemon left, oldest first."""
    rows = connection.execute("SELECT * FROM operation WHERE state = 'open' ORDER BY rowid").fetchall()
    return [
        OpenOperation(
            id=row["id"],
            kind=row["kind"],
            vm_id=row["vm_id"],
            arguments=_read_members(row["arguments"], str),
            steps=tuple(
                step["name"]
                for step in connection.execute(
                    "SELECT name FROM step WHERE operation_id = ? AND state <> 'undone' ORDER BY seq", (row["id"],)
                )
            ),
        )
        for row in rows
    ]


def _read_lifetime(row: sqlite3.Row) -> Lifetime | None:
    if row["ttl_left_s"] is None:
        return None
    return Lifetime(left_s=row["ttl_left_s"], marked_s=row["ttl_marked_s"], boot_id=row["ttl_boot_id"])


def _read_members(text: str, kind: type[Member]) -> Mapping[str, Member]:
    """A JSON object whose members are all of one kind. Raises `ValueError`."""
    members = parse_object(text)
    if not all(type(value) is kind for value in members.values()):
        raise ValueError(f"a member is not of kind {kind.__name__}")
    return members


def encode_spec(spec: VmSpec) -> str:
    """The spec as the JSON that the row and the manifest hold."""
    return json.dumps(asdict(spec), sort_keys=True)


def decode_spec(text: str) -> VmSpec:
    """Read what `encode_spec` wrote. Raises `ValueError` for anything else."""
    return read_dataclass(VmSpec, parse_object(text))
