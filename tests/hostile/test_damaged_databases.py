"""500 damaged databases: each ends in a safe start or a clear refusal, and no VM's directory loses a byte."""

from __future__ import annotations

import asyncio
import hashlib
import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from tests.fakes.machineless import fake_collaborators

from banger.core.config.parsing import Configuration
from banger.core.errors import BangerError
from banger.core.layout import Layout
from banger.core.vm import State, VmSpec
from banger.daemon.composition import compose_lifecycle, compose_operations, compose_reconcile
from banger.daemon.manifest import write_manifest
from banger.daemon.recovery import open_database
from banger.daemon.supervisor import Supervisor
from banger.store.connection import Database
from banger.store.records import (
    VmRecord,
    WorkspaceRecord,
    end_operation,
    insert_operation,
    insert_vm,
    list_vms,
    put_step,
    put_workspace,
    set_ephemeral,
    set_state,
)

ROUNDS = 500
BATCHES = 10
SPEC = VmSpec(
    image="fake",
    image_digest="sha256:" + "1" * 64,
    kernel="fake",
    kernel_digest="sha256:" + "2" * 64,
    vcpu=1,
    memory_mib=128,
    disk_bytes=1 << 30,
    nat=False,
)
Damage = Callable[[random.Random, Path, Path], None]


def record(number: int) -> VmRecord:
    workspace = WorkspaceRecord(guest_path="/root/r", source="/home/r", head="c" * 40, branch="main", base="b" * 40)
    return VmRecord(
        id=f"{number:08x}-1234-4234-8234-123456789abc",
        name=f"box-{number}",
        state=State.CREATING,
        spec=SPEC,
        ephemeral=True,
        created_at_s=1000.5 + number,
        workspaces=(workspace,) if number % 2 else (),
    )


async def build(layout: Layout) -> None:
    """A world with VMs as `vm run` leaves them, stopped and formerly running, and a copy of its files on the way.

    `early` is the database while the first VM was being made: what is left when the log with all later commits is lost.
    """
    database = Database(layout.database)
    await database.open()
    for number in range(6):
        vm = record(number)
        await database.call(lambda c, vm=vm: insert_vm(c, vm))  # type: ignore[misc]
        operation = f"op-{number}.create"
        await database.call(
            lambda c, o=operation, v=vm.id: insert_operation(c, operation_id=o, kind="create", vm_id=v, started_at_s=1)  # type: ignore[misc]
        )
        await database.call(lambda c, o=operation: put_step(c, o, seq=0, name="directory", state="done"))  # type: ignore[misc]
        files = layout.vm(vm.id)
        files.state.mkdir(parents=True)
        files.data_disk.write_bytes(hashlib.sha256(vm.id.encode()).digest() * 64)
        if number == 0:
            early = layout.state.parent / "early.db"
            with closing(sqlite3.connect(layout.database)) as connection:
                connection.execute("VACUUM INTO ?", (str(early),))
        await database.call(lambda c, o=operation: end_operation(c, o, state="done", ended_at_s=2))  # type: ignore[misc]
        for workspace in vm.workspaces:
            await database.call(lambda c, v=vm.id, w=workspace: put_workspace(c, v, w))  # type: ignore[misc]
        await database.call(lambda c, v=vm.id: set_ephemeral(c, v, ephemeral=False))  # type: ignore[misc]
        state = State.RUNNING if number % 3 == 0 else State.STOPPED
        await database.call(lambda c, v=vm.id, s=state: set_state(c, v, s))  # type: ignore[misc]
        write_manifest(files, replace(vm, ephemeral=False))
        if state is State.RUNNING:
            files.run.mkdir(parents=True)
            files.process.write_text('{"pid": 1, "start_ticks": 1, "boot_id": "x", "executable": "1:1"}')
    # A daemon that was killed: the log is not empty.
    for suffix in ("", "-wal", "-shm"):
        source = layout.database.with_name(layout.database.name + suffix)
        shutil.copy(source, layout.state.parent / f"killed.db{suffix}")
    await database.close()


def flip(chance: random.Random, path: Path, _spares: Path) -> None:
    content = bytearray(path.read_bytes())
    for _ in range(chance.randint(1, 64)):
        content[chance.randrange(len(content))] = chance.randrange(256)
    path.write_bytes(content)


def flip_header(chance: random.Random, path: Path, _spares: Path) -> None:
    content = bytearray(path.read_bytes())
    content[chance.randrange(100)] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


def truncate(chance: random.Random, path: Path, _spares: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(chance.choice([0, 1, 100, 4096, chance.randrange(path.stat().st_size)]))


def clear_pages(chance: random.Random, path: Path, _spares: Path) -> None:
    pages = path.stat().st_size // 4096
    with path.open("r+b") as file:
        for _ in range(chance.randint(1, 3)):
            file.seek(chance.randrange(pages) * 4096)
            file.write(b"\0" * 4096)


def swap_with_text(chance: random.Random, path: Path, _spares: Path) -> None:
    path.write_text("no database\n" * chance.randint(0, 1000))


def lose_it(_chance: random.Random, path: Path, _spares: Path) -> None:
    path.unlink()


def lose_the_log(chance: random.Random, path: Path, spares: Path) -> None:
    """What is left is old: its only VM is half made and belongs to a request."""
    shutil.copy(spares / "early.db", path)
    if chance.random() < 0.5:
        path.with_name(path.name + "-shm").write_bytes(chance.randbytes(32768))


def keep_a_log(chance: random.Random, path: Path, spares: Path) -> None:
    """The log of a killed daemon, damaged, or with another database before it."""
    path.with_name(path.name + "-wal").write_bytes((spares / "killed.db-wal").read_bytes())
    how = chance.randrange(4)
    if how == 0:
        shutil.copy(spares / "killed.db", path)
        flip(chance, path.with_name(path.name + "-wal"), spares)
    elif how == 1:
        shutil.copy(spares / "early.db", path)
    elif how == 2:
        shutil.copy(spares / "killed.db", path)
        truncate(chance, path.with_name(path.name + "-wal"), spares)
        path.with_name(path.name + "-shm").write_bytes(chance.randbytes(chance.randrange(65536)))
    else:
        path.write_bytes(b"")


def change_rows(chance: random.Random, path: Path, _spares: Path) -> None:
    statements = (
        "PRAGMA user_version = 99",
        "PRAGMA user_version = 0",
        "PRAGMA user_version = -1",
        "DROP TABLE workspace",
        "DROP TABLE step",
        "DROP TABLE vm",
        "DELETE FROM vm",
        "DELETE FROM vm WHERE name = 'box-3'",
        "UPDATE vm SET ephemeral = 1",
        "UPDATE vm SET state = 'creating'",
        "UPDATE vm SET state = 'creating', ephemeral = 1",
        "UPDATE vm SET state = 'nonsense'",
        "UPDATE vm SET spec = '{}' WHERE name = 'box-1'",
        "UPDATE vm SET spec = '[1'",
        "UPDATE vm SET id = '../../../tmp' WHERE name = 'box-1'",
        "UPDATE vm SET id = '' WHERE name = 'box-2'",
        "UPDATE vm SET id = '.' WHERE name = 'box-2'",
        "UPDATE vm SET name = 'no label/' WHERE name = 'box-2'",
        "UPDATE operation SET state = 'open'",
        "INSERT INTO operation (id, kind, vm_id, state, started_at_s) VALUES ('x', 'destroy', '../..', 'open', 1)",
        "INSERT INTO operation (id, kind, vm_id, state, started_at_s) VALUES ('y', 'delete', '..', 'open', 1)",
        "UPDATE vm SET timings = '{\"x\": []}'",
        "CREATE TRIGGER t AFTER UPDATE ON vm BEGIN UPDATE vm SET ephemeral = 1; END",
    )
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE" if chance.random() < 0.2 else "PRAGMA journal_mode = WAL")
        connection.execute(chance.choice(statements))


DAMAGES: tuple[Damage, ...] = (
    flip,
    flip,
    flip_header,
    truncate,
    clear_pages,
    swap_with_text,
    lose_it,
    lose_the_log,
    keep_a_log,
    change_rows,
    change_rows,
)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made once; every damage is done to a copy."""
    root = tmp_path_factory.mktemp("built")
    asyncio.run(build(layout_at(root)))
    return root


def layout_at(root: Path) -> Layout:
    layout = Layout(config=root / "c", state=root / "s" / "banger", cache=root / "k", run=root / "r")
    for place in layout:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
    return layout


def disks(layout: Layout) -> dict[str, str]:
    """What nobody may touch."""
    return {
        entry.parent.name: hashlib.sha256(entry.read_bytes()).hexdigest() for entry in layout.vms.glob("*/data.ext4")
    }


async def start(layout: Layout) -> tuple[list[VmRecord], str]:
    """What a daemon does until it serves the first request. Raises what a user would be told."""
    database, recovery = await open_database(layout)
    supervisor = Supervisor()
    try:
        parts = fake_collaborators(layout, Configuration())
        operations = compose_operations(layout, parts, database, supervisor)
        lifecycle = compose_lifecycle(operations, database, supervisor)
        reconcile = compose_reconcile(layout, parts, database, supervisor, operations=operations, lifecycle=lifecycle)
        await reconcile()
        return await database.call(list_vms), recovery.notice
    finally:
        await supervisor.release()
        await database.close()


@pytest.mark.parametrize("batch", range(BATCHES))
async def test_no_damage_costs_a_directory(built: Path, tmp_path: Path, batch: int) -> None:
    for number in range(batch, ROUNDS, BATCHES):
        chance = random.Random(number)
        damage = DAMAGES[number % len(DAMAGES)]
        root = tmp_path / str(number)
        shutil.copytree(built, root)
        layout = layout_at(root)
        before = disks(layout)
        assert len(before) == 6
        damage(chance, layout.database, root / "s")
        where = (number, damage.__name__)
        refusal: BangerError | None = None
        try:
            vms, _ = await start(layout)
        except BangerError as error:
            refusal = error
        if refusal is not None:
            assert refusal.kind in ("unsupported", "denied", "unavailable"), (where, refusal.summary)
            assert refusal.hint, (where, refusal.summary)
        else:
            ids = {vm.id for vm in vms}
            assert ids >= before.keys(), (where, sorted(before.keys() - ids))
            assert {vm.state for vm in vms} == {State.STOPPED}, (where, vms)
            again, notice = await start(layout)
            assert (again, notice) == (vms, ""), where
        assert disks(layout) == before, where
        assert not layout.trash.exists() or not any(layout.trash.iterdir()), where
        shutil.rmtree(root)


async def test_a_sound_database_is_left_alone(built: Path, tmp_path: Path) -> None:
    shutil.copytree(built, tmp_path / "w")
    layout = layout_at(tmp_path / "w")
    vms, notice = await start(layout)
    assert notice == ""
    assert [vm.workspaces for vm in vms] == [record(number).workspaces for number in range(6)]
    assert [entry.name for entry in layout.state.glob("banger.db*")] == ["banger.db"]
