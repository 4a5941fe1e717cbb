"""What happens to a database when it is opened, and to a transaction when the disk lets it down."""

import os
import resource
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from banger.core.errors import BangerError, Denied, Unavailable, Unsupported
from banger.core.vm import State, VmSpec
from banger.store.connection import Database, list_set_aside, set_aside
from banger.store.faults import Damaged
from banger.store.migrations import COPIES_KEPT, MIGRATIONS
from banger.store.records import VmRecord, insert_vm, list_vms
from banger.store.reserve import Reserve

SPEC = VmSpec(
    image="i", image_digest="d", kernel="k", kernel_digest="e", vcpu=1, memory_mib=128, disk_bytes=1 << 30, nat=False
)


def vm(number: int) -> VmRecord:
    identity = f"{number:08x}-0000-4000-8000-000000000000"
    return VmRecord(id=identity, name=f"vm-{number}", state=State.STOPPED, spec=SPEC, ephemeral=False, created_at_s=1.5)


async def make(path: Path, *records: VmRecord) -> None:
    database = Database(path)
    await database.open()
    for record in records:
        await database.call(lambda connection, record=record: insert_vm(connection, record))  # type: ignore[misc]
    await database.close()


async def names(path: Path) -> list[str]:
    database = Database(path, busy_s=0.05)
    try:
        await database.open()
        return [record.name for record in await database.call(list_vms)]
    finally:
        await database.close()


def alter(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


async def refusal(path: Path) -> BangerError:
    with pytest.raises(BangerError) as caught:
        await names(path)
    return caught.value


async def test_an_older_schema_is_copied_before_it_is_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "banger.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in filter(str.strip, MIGRATIONS[0][1].split(";")):
            connection.execute(statement)
        connection.execute("PRAGMA user_version = 1")
        connection.execute(
            "INSERT INTO vm (id, name, state, spec, ephemeral, created_at_s) VALUES (?, 'old', 'stopped', ?, 0, 1.5)",
            (
                vm(1).id,
                '{"image":"i","image_digest":"d","kernel":"k","kernel_digest":"e","vcpu":1,"memory_mib":128,'
                '"disk_bytes":1073741824,"nat":false}',
            ),
        )
    assert await names(path) == ["old"]
    copy = tmp_path / "banger.db.before-schema-2"
    assert copy.stat().st_mode & 0o777 == 0o600
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
        assert connection.execute("SELECT name FROM vm").fetchall() == [("old",)]
    await names(path)
    assert sorted(entry.name for entry in tmp_path.glob("banger*")) == ["banger.db", "banger.db.before-schema-2"]
    assert COPIES_KEPT == 3


async def test_a_newer_database_is_refused_and_not_a_byte_of_it_is_touched(tmp_path: Path) -> None:
    path = tmp_path / "banger.db"
    await make(path, vm(1))
    alter(path, f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    before = {entry.name: entry.read_bytes() for entry in tmp_path.iterdir()}
    error = await refusal(path)
    assert isinstance(error, Unsupported)
    assert "a newer banger wrote it" in error.summary
    assert error.hint
    assert {entry.name: entry.read_bytes() for entry in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    "statements",
    [
        ("DROP TABLE workspace",),
        ("ALTER TABLE vm DROP COLUMN problem",),
        ("ALTER TABLE vm RENAME COLUMN problem TO trouble",),
        ("DROP INDEX operation_open",),
        ("UPDATE vm SET spec = '{}'",),
        ("UPDATE vm SET spec = 'garbage'",),
        ("UPDATE vm SET spec = replace(spec, '128', 'true')",),
        ("UPDATE vm SET state = 'dancing'",),
        ("UPDATE vm SET id = '../../etc'",),
        ("UPDATE vm SET id = upper(id) || 'X'",),
        ("UPDATE vm SET name = 'a/b'",),
        ("UPDATE vm SET name = CAST(x'ff' AS TEXT)",),
        ("UPDATE vm SET timings = '[]'",),
        ("INSERT INTO operation (id, kind, vm_id, state, started_at_s, arguments) VALUES ('o','k','v','open',1,'{')",),
        ("INSERT INTO workspace (vm_id, guest_path, source) VALUES ('nobody', 'p', 's')",),
        ("PRAGMA user_version = 0",),
        ("PRAGMA user_version = 1",),
        ("PRAGMA user_version = -7",),
    ],
)
async def test_content_that_makes_no_sense_is_damage(tmp_path: Path, statements: tuple[str, ...]) -> None:
    path = tmp_path / "banger.db"
    await make(path, vm(1))
    alter(path, *statements)
    error = await refusal(path)
    assert isinstance(error, Damaged), repr(error)


@pytest.mark.parametrize("content", [b"not a database, but quite long " * 50, b"\0" * 8192, b"SQLite format 3\0" * 64])
async def test_another_file_is_damage(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "banger.db"
    path.write_bytes(content)
    assert isinstance(await refusal(path), Damaged)
    assert path.read_bytes() == content


async def test_what_cannot_be_used_as_it_is_is_refused_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "banger.db"
    path.mkdir()
    assert isinstance(await refusal(path), Denied)
    assert path.is_dir()


async def test_a_lock_of_somebody_else_is_said_to_be_one(tmp_path: Path) -> None:
    path = tmp_path / "banger.db"
    await make(path, vm(1))
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN IMMEDIATE")
        error = await refusal(path)
    assert isinstance(error, Unavailable)
    assert "another program holds" in error.summary
    assert await names(path) == ["vm-1"]


async def test_setting_aside_keeps_everything(tmp_path: Path) -> None:
    path = tmp_path / "banger.db"
    for round_number in (1, 2):
        for suffix in ("", "-wal", "-shm"):
            path.with_name(path.name + suffix).write_text(f"{round_number}{suffix}")
        moved = set_aside(path)
        assert moved == tmp_path / f"banger.db.damaged-{round_number}"
        for suffix in ("", "-wal", "-shm"):
            assert moved.with_name(moved.name + suffix).read_text() == f"{round_number}{suffix}"
    assert set_aside(path) is None
    assert [kept.name for kept in list_set_aside(path)] == ["banger.db.damaged-1", "banger.db.damaged-2"]


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file of ours grows beyond what one page more than an empty database needs."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_a_full_disk_fails_one_transaction_and_the_next_one_works(tmp_path: Path, small_files: None) -> None:
    path = tmp_path / "banger.db"
    await make(path, vm(1))
    database = Database(path)
    await database.open()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64 * 1024, limits[1]))
    try:
        with pytest.raises(BangerError) as caught:
            await database.call(lambda c: c.execute("UPDATE vm SET problem = hex(zeroblob(200000))"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.kind in ("failed", "unavailable")
    assert str(path) in caught.value.summary
    assert [record.problem for record in await database.call(list_vms)] == [""]
    await database.call(lambda c: insert_vm(c, vm(2)))
    await database.close()
    assert await names(path) == ["vm-1", "vm-2"]


async def test_a_database_that_is_damaged_while_it_is_open_says_so(tmp_path: Path) -> None:
    path = tmp_path / "banger.db"
    await make(path, *map(vm, range(200)))
    database = Database(path)
    await database.open()
    alter(path, "CREATE TABLE news (text)")  # of which our connection hears, and forgets the pages that it remembers
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(size - 4096))
    with pytest.raises(Damaged, match="is damaged") as caught:
        await database.call(list_vms)
    assert "daemon restart" in caught.value.hint
    await database.close()


def test_a_reserve_is_given_back_and_taken_again(tmp_path: Path) -> None:
    path = tmp_path / "reserve"
    reserve = Reserve(path, size_bytes=65536)
    assert not reserve.release()
    reserve = Reserve(path, size_bytes=65536)
    reserve.keep()
    assert path.stat().st_blocks * 512 >= 65536
    assert path.stat().st_mode & 0o777 == 0o600
    assert reserve.release()
    assert not path.exists()
    reserve.keep()  # not at once: whoever needed the space is still at it
    assert not path.exists()


def test_a_reserve_that_finds_no_space_leaves_nothing(tmp_path: Path) -> None:
    reserve = Reserve(tmp_path / "reserve", size_bytes=1 << 60)
    reserve.keep()
    assert list(tmp_path.iterdir()) == []
