import json
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from banger.core.errors import AlreadyExists, NotFound, Unsupported
from banger.core.vm import State, VmSpec
from banger.store.connection import Database
from banger.store.migrations import MIGRATIONS
from banger.store.records import (
    VmRecord,
    WorkspaceRecord,
    decode_spec,
    delete_vm,
    encode_spec,
    end_operation,
    insert_operation,
    insert_vm,
    list_open_operations,
    list_vms,
    put_step,
    put_workspace,
    resolve_vm,
    set_state,
)

SPEC = VmSpec(
    image="i",
    image_digest="sha256:1",
    kernel="k",
    kernel_digest="sha256:2",
    vcpu=2,
    memory_mib=512,
    disk_bytes=1 << 30,
    nat=False,
    origins={"vcpu": "host", "nat": "config"},
)


def vm(number: int, name: str) -> VmRecord:
    identity = f"{number:08x}-0000-4000-8000-000000000000"
    return VmRecord(id=identity, name=name, state=State.CREATING, spec=SPEC, ephemeral=False, created_at_s=1.5)


async def opened(path: Path) -> Database:
    database = Database(path)
    await database.open()
    return database


async def test_a_vm_is_what_it_was_after_reopening(tmp_path: Path) -> None:
    database = await opened(tmp_path / "db")
    record = vm(1, "a")
    workspace = WorkspaceRecord(guest_path="/root/r", source="/home/r", head="c", branch="main", base="b")
    await database.call(lambda c: insert_vm(c, record))
    await database.call(lambda c: put_workspace(c, record.id, workspace))
    await database.call(lambda c: set_state(c, record.id, State.STOPPED, problem="p"))
    await database.close()
    database = await opened(tmp_path / "db")
    (read,) = await database.call(list_vms)
    await database.close()
    assert (read.spec, read.state, read.problem, read.workspaces) == (SPEC, State.STOPPED, "p", (workspace,))


def test_a_spec_of_before_there_were_origins_is_read() -> None:
    old = json.loads(encode_spec(SPEC))
    del old["origins"]
    assert decode_spec(json.dumps(old)) == replace(SPEC, origins={})


async def test_a_name_is_given_once_and_a_failed_transaction_leaves_nothing(tmp_path: Path) -> None:
    database = await opened(tmp_path / "db")
    await database.call(lambda c: insert_vm(c, vm(1, "a")))

    def twice(connection: sqlite3.Connection) -> None:
        insert_vm(connection, vm(2, "b"))
        insert_vm(connection, vm(3, "a"))

    with pytest.raises(AlreadyExists):
        await database.call(twice)
    assert [record.name for record in await database.call(list_vms)] == ["a"]
    await database.close()


async def test_the_journal_of_an_open_operation_survives(tmp_path: Path) -> None:
    database = await opened(tmp_path / "db")
    await database.call(lambda c: insert_operation(c, operation_id="o", kind="start", vm_id="v", started_at_s=1))
    await database.call(lambda c: put_step(c, "o", seq=0, name="one", state="done"))
    await database.call(lambda c: put_step(c, "o", seq=1, name="two", state="intent"))
    await database.call(lambda c: put_step(c, "o", seq=2, name="three", state="undone"))
    (operation,) = await database.call(list_open_operations)
    assert operation.steps == ("one", "two")
    await database.call(lambda c: end_operation(c, "o", state="undone", ended_at_s=2))
    assert await database.call(list_open_operations) == []
    await database.close()


async def test_deleting_forgets_workspaces(tmp_path: Path) -> None:
    database = await opened(tmp_path / "db")
    record = vm(1, "a")
    await database.call(lambda c: insert_vm(c, record))
    await database.call(
        lambda c: put_workspace(
            c, record.id, WorkspaceRecord(guest_path="/r", source="/s", head=None, branch=None, base=None)
        )
    )
    await database.call(lambda c: delete_vm(c, record.id))
    assert await database.call(lambda c: c.execute("SELECT count(*) FROM workspace").fetchone()[0]) == 0
    await database.close()


async def test_a_newer_database_is_refused_and_untouched(tmp_path: Path) -> None:
    path = tmp_path / "db"
    database = await opened(path)
    await database.close()
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    connection.close()
    with pytest.raises(Unsupported, match="newer"):
        await opened(path)


def test_references() -> None:
    records = [vm(0xAAAA1111, "box"), vm(0xAAAA2222, "other"), vm(3, "aaaa1111-odd")]
    assert resolve_vm(records, "box").name == "box"
    assert resolve_vm(records, records[1].id).name == "other"
    assert resolve_vm(records, "aaaa2").name == "other"
    for ref in ("aaaa", "aaa", "nope", "", "\x1b[2J"):
        with pytest.raises(NotFound) as caught:
            resolve_vm(records, ref)
        assert "\x1b" not in caught.value.summary
