import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from banger.core.clock import SystemClock
from banger.core.errors import Failed
from banger.daemon.failpoints import Failpoints, parse_failpoints
from banger.daemon.journal import Journal, Step, shielded
from banger.store.connection import Database
from banger.store.records import list_open_operations


class World:
    """Steps that write down what happened to them."""

    def __init__(self) -> None:
        self.happened: list[str] = []

    def step(
        self,
        name: str,
        *,
        fails: bool = False,
        undo_fails: bool = False,
        until: asyncio.Event | None = None,
        error: Callable[[str], Exception] = Failed,
    ) -> Step:
        async def act() -> None:
            self.happened.append(f"+{name}")
            if until is not None:
                await until.wait()
            if fails:
                raise error(name)

        async def undo() -> None:
            self.happened.append(f"-{name}")
            if undo_fails:
                raise error(name)

        return Step(name, act, undo)

    def row(self, text: str) -> "Row":
        return Row(self, text)


class Row:
    def __init__(self, world: World, text: str) -> None:
        self.world, self.text = world, text

    def __call__(self, _connection: sqlite3.Connection) -> None:
        self.world.happened.append(self.text)


async def journal_at(path: Path, points: str = "") -> tuple[Journal, Database]:
    database = Database(path / "db")
    await database.open()
    return Journal(database=database, clock=SystemClock(), failpoints=Failpoints(parse_failpoints(points))), database


async def back(journal: Journal, world: World, *steps: Step, operation_id: str = "o") -> None:
    await journal.roll_back_on_failure(
        kind="k",
        operation_id=operation_id,
        vm_id="v",
        begin=world.row("begin"),
        steps=steps,
        finish=world.row("finish"),
        undone=world.row("undone"),
    )


async def forward(journal: Journal, world: World, *steps: Step) -> None:
    await journal.roll_forward(
        kind="k", operation_id="o", vm_id="v", begin=world.row("begin"), steps=steps, finish=world.row("finish")
    )


async def test_success_runs_steps_in_order(tmp_path: Path) -> None:
    world = World()
    journal, database = await journal_at(tmp_path)
    await back(journal, world, world.step("a"), world.step("b"))
    assert world.happened == ["begin", "+a", "+b", "finish"]
    assert await database.call(list_open_operations) == []
    await database.close()


async def test_a_failure_undoes_in_reverse_the_failed_step_too(tmp_path: Path) -> None:
    world = World()
    journal, database = await journal_at(tmp_path)
    with pytest.raises(Failed, match="b"):
        await back(journal, world, world.step("a"), world.step("b", fails=True), world.step("c"))
    assert world.happened == ["begin", "+a", "+b", "-b", "-a", "undone"]
    assert await database.call(list_open_operations) == []
    await database.close()


@pytest.mark.parametrize("error", [OSError, KeyError])
async def test_an_undo_that_fails_stops_no_other_and_leaves_the_operation_open(
    tmp_path: Path, error: type[Exception]
) -> None:
    world = World()
    journal, database = await journal_at(tmp_path)
    failing = world.step("b", undo_fails=True, error=error)
    with pytest.raises(Failed):
        await back(journal, world, world.step("a"), failing, world.step("c", fails=True))
    assert world.happened == ["begin", "+a", "+b", "+c", "-c", "-b", "-a"]
    (operation,) = await database.call(list_open_operations)
    assert operation.steps == ("a", "b", "c")
    await database.close()


async def test_operations_of_one_kind_on_one_vm_do_not_take_each_other_for_left_over(tmp_path: Path) -> None:
    """Two copies at once, for example."""
    world = World()
    journal, database = await journal_at(tmp_path)
    go_on = asyncio.Event()
    slow = asyncio.create_task(back(journal, world, world.step("slow", until=go_on), world.step("b")))
    while "+slow" not in world.happened:
        await asyncio.sleep(0)
    await back(journal, world, world.step("quick"), operation_id="other")
    assert [operation.id for operation in await database.call(list_open_operations)] == ["o"]
    go_on.set()
    await slow
    assert world.happened[-2:] == ["+b", "finish"]
    assert await database.call(list_open_operations) == []
    await database.close()


async def test_who_is_cancelled_when_it_is_done_undoes_nothing(tmp_path: Path) -> None:
    """A daemon that died in the middle of undoing would leave a row for something that is half gone."""
    world = World()
    journal, database = await journal_at(tmp_path)
    loop = asyncio.get_running_loop()

    def finish(connection: sqlite3.Connection) -> None:
        world.row("finish")(connection)
        loop.call_soon_threadsafe(task.cancel)

    task = asyncio.create_task(
        journal.roll_back_on_failure(
            kind="k",
            operation_id="o",
            vm_id="v",
            begin=world.row("begin"),
            steps=[world.step("a")],
            finish=finish,
            undone=world.row("undone"),
        )
    )
    with pytest.raises(asyncio.CancelledError):
        await task
    assert world.happened == ["begin", "+a", "finish"]
    assert await database.call(list_open_operations) == []
    await database.close()


async def test_cancellation_undoes(tmp_path: Path) -> None:
    world = World()
    journal, database = await journal_at(tmp_path)
    task = asyncio.create_task(back(journal, world, world.step("a"), world.step("b", until=asyncio.Event())))
    while "+b" not in world.happened:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert world.happened == ["begin", "+a", "+b", "-b", "-a", "undone"]
    await database.close()


async def test_cancellation_while_the_intent_is_being_written_leaves_nothing_open(tmp_path: Path) -> None:
    for wait in range(12):
        world = World()
        path = tmp_path / str(wait)
        path.mkdir()
        journal, database = await journal_at(path)
        task = asyncio.create_task(back(journal, world, world.step("a")))
        for _ in range(wait):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait((task,))
        assert await database.call(list_open_operations) == []
        if "begin" in world.happened:
            assert world.happened[-1] in ("undone", "finish")
        await database.close()


@pytest.mark.parametrize("error", [Failed, KeyError])
async def test_rolling_forward_tries_every_step_and_stays_open_after_a_failure(
    tmp_path: Path, error: type[Exception]
) -> None:
    world = World()
    journal, database = await journal_at(tmp_path)
    with pytest.raises(error, match="a"):
        await forward(journal, world, world.step("a", fails=True, error=error), world.step("b"))
    assert world.happened == ["begin", "+a", "+b"]
    assert len(await database.call(list_open_operations)) == 1
    await database.close()


async def test_rolling_forward_outlives_its_caller(tmp_path: Path) -> None:
    world = World()
    journal, database = await journal_at(tmp_path)
    release = asyncio.Event()
    task = asyncio.create_task(forward(journal, world, world.step("slow", until=release), world.step("b")))
    while "+slow" not in world.happened:
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0)
    release.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert world.happened == ["begin", "+slow", "+b", "finish"]
    await database.close()


@pytest.mark.parametrize("point", ["before_intent", "after_intent", "after_act", "after_done"])
async def test_every_step_has_its_four_failpoints(tmp_path: Path, point: str) -> None:
    world = World()
    journal, database = await journal_at(tmp_path, f"k.b.{point}=error")
    with pytest.raises(Failed, match=point):
        await back(journal, world, world.step("a"), world.step("b"))
    assert world.happened[-1] == "undone"
    await database.close()


async def test_shielded_work_ends_before_the_cancellation_is_seen() -> None:
    ended = []

    async def work() -> None:
        await asyncio.sleep(0.05)
        ended.append(True)

    task = asyncio.create_task(shielded(work()))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == [True]
