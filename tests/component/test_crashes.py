"""The generated sweep: a daemon that dies at any journalled point leaves a world that the next one puts in order.

The steps are read from the operations themselves, so a new step is swept on the day it is written.
"""

from __future__ import annotations

import shutil
import signal
from pathlib import Path
from typing import Any, cast

import pytest
from tests.component.fake_world import FakeWorld
from tests.fakes.machineless import fake_collaborators

from banger.core.config.parsing import Configuration
from banger.core.layout import Layout
from banger.core.vm import State, VmSpec
from banger.daemon.composition import compose_operations
from banger.daemon.failpoints import POINTS
from banger.daemon.journal import nothing
from banger.daemon.operations.change import ChangeVm
from banger.daemon.operations.copying import CopyFiles, HostPlace
from banger.daemon.operations.create import CreateVm
from banger.daemon.operations.delete import DeleteVm
from banger.daemon.operations.kill import KillVm
from banger.daemon.operations.pause import PauseVm, ResumeVm
from banger.daemon.operations.start import StartVm
from banger.daemon.operations.stop import StopVm
from banger.daemon.supervisor import Supervisor
from banger.store.records import VmRecord

SPEC = VmSpec(
    image="i", image_digest="d", kernel="k", kernel_digest="d", vcpu=1, memory_mib=128, disk_bytes=1 << 30, nat=True
)
RECORD = VmRecord(id="0" * 36, name="x", state=State.STOPPED, spec=SPEC, ephemeral=False, created_at_s=0)
NOBODY = cast("Any", None)
LAYOUT = Layout(config=Path("/c"), state=Path("/s"), cache=Path("/k"), run=Path("/r"))


COMMANDS: dict[str, tuple[str, ...]] = {
    "stop": ("stop", "box"),
    "delete": ("delete", "box"),
    "kill": ("kill", "--signal", "TERM", "box"),
    "pause": ("pause", "box"),
    "resume": ("resume", "box"),
    "set": ("set", "box", "--disk", "2G", "--memory", "256M"),
}
OLD, NEW = b"old", b"new" * 100_000
EXPECTED: dict[str, set[str]] = {
    "stop": {"stopped", "running"},
    "delete": set(),
    "kill": {"stopped", "running"},
    "pause": {"running", "paused"},
    "resume": {"running", "paused"},
    "set": {"running"},
}


def all_points() -> list[str]:
    create = CreateVm(layout=LAYOUT, journal=NOBODY, teardown=NOBODY, disks=NOBODY)
    start = StartVm(
        layout=LAYOUT,
        journal=NOBODY,
        teardown=NOBODY,
        supervisor=NOBODY,
        images=NOBODY,
        kernels=NOBODY,
        chooser=NOBODY,
        networks=NOBODY,
        space=NOBODY,
        boot_files=NOBODY,
        await_guest=NOBODY,
        sync_files=NOBODY,
        clock=NOBODY,
    )
    stop = StopVm(journal=NOBODY, teardown=NOBODY, supervisor=NOBODY)
    delete = DeleteVm(journal=NOBODY, teardown=NOBODY, supervisor=NOBODY)
    kill = KillVm(journal=NOBODY, teardown=NOBODY, supervisor=NOBODY)
    pause = PauseVm(journal=NOBODY, supervisor=NOBODY)
    resume = ResumeVm(journal=NOBODY, supervisor=NOBODY)
    change = ChangeVm(layout=LAYOUT, host=NOBODY, journal=NOBODY, networks=NOBODY, lifetimes=NOBODY)
    steps = {
        "create": create.steps(RECORD),
        "start": start.steps(RECORD, None, {}),
        "stop": stop.steps(RECORD, polite=True),
        "delete": delete.steps(RECORD),
        "kill": kill.steps(RECORD, signal.SIGTERM),
        "pause": pause.steps(RECORD),
        "resume": resume.steps(RECORD),
        "set": change.steps(RECORD, RECORD),
    }
    return [f"{kind}.{step.name}.{point}" for kind, list_ in steps.items() for step in list_ for point in POINTS]


@pytest.mark.parametrize("point", all_points())
def test_a_daemon_killed_at_any_point_leaves_nothing(world: FakeWorld, point: str) -> None:
    kind = point.split(".", maxsplit=1)[0]
    run = ("vm", "run", "-d", "--nat", "--no-workspace", "--name", "box")
    if kind in ("create", "start"):
        world.start_daemon(failpoints=f"{point}=kill")
        assert world.banger(*run).returncode == 8
        expected: set[str] = set()  # it was not ready: it belonged to the request that died
    else:
        world.start_daemon()
        world.succeed(*run)
        if kind == "resume":
            world.succeed("vm", "pause", "box")
        world.kill_daemon()
        world.start_daemon(failpoints=f"{point}=kill")
        assert world.banger("vm", *COMMANDS[kind]).returncode == 8
        expected = EXPECTED[kind]
    world.wait_for_death()
    world.start_daemon()
    vms = world.vms()
    if expected:
        assert [vm["name"] for vm in vms] == ["box"]
        assert vms[0]["state"] in expected
        if vms[0]["state"] == "paused":
            world.succeed("vm", "resume", "box")
        world.succeed("vm", "start", "box")
        assert world.succeed("vm", "exec", "box", "--cwd", "/", "echo", "alive") == b"alive\n"
    else:
        assert vms == []
        world.succeed(*run)


def copy_points() -> list[tuple[str, str]]:
    copy = CopyFiles(journal=NOBODY, supervisor=NOBODY)
    host = HostPlace(-1, b"p", b"f", replace=False)
    return [
        (direction, f"cp.{step.name}.{point}")
        for direction, place in (("in", None), ("out", host))
        for step in copy.steps(nothing, place)
        for point in POINTS
    ]


def prepare_copy(world: FakeWorld, direction: str, what: str) -> tuple[tuple[str, ...], Path]:
    """The words of a copy, and where it goes; something old is there."""
    guest = world.root / "guest"
    guest.mkdir()
    source, target = (world.root, guest) if direction == "in" else (guest, world.root)
    put(source / "x", what, NEW)
    put(target / "x", what, OLD)
    words = ("x", f"box:{guest}") if direction == "in" else (f"box:{guest}/x", ".")
    return ("vm", "cp", "--force", *words), target / "x"


def put(path: Path, what: str, content: bytes) -> None:
    """Make a file or a tree, in the place of what is there."""
    if path.is_dir():
        shutil.rmtree(path)
    if what == "tree":
        path.mkdir()
        (path / "link").symlink_to("/")
    (path / "file" if what == "tree" else path).write_bytes(content)


def check_copy(world: FakeWorld, target: Path) -> bytes:
    """It is there as it was, or as it will be; nothing else is."""
    content = (target / "file" if target.is_dir() else target).read_bytes()
    assert content in (OLD, NEW)
    assert [path for pattern in ("*.partial", "*.replaced") for path in world.root.rglob(pattern)] == []
    assert world.rows("step") == 0
    return content


@pytest.mark.parametrize("what", ["file", "tree"])
@pytest.mark.parametrize(("direction", "point"), copy_points())
def test_a_daemon_killed_while_it_copies_leaves_the_old_or_the_new(
    world: FakeWorld, direction: str, point: str, what: str
) -> None:
    world.start_daemon(failpoints=f"{point}=kill")
    world.succeed("vm", "run", "-d", "--no-workspace", "--name", "box")
    words, target = prepare_copy(world, direction, what)
    assert world.banger(*words).returncode == 8
    world.wait_for_death()
    world.start_daemon()
    check_copy(world, target)
    world.succeed(*words)
    assert check_copy(world, target) == NEW


@pytest.mark.parametrize("what", ["file", "tree"])
@pytest.mark.parametrize("direction", ["in", "out"])
@pytest.mark.parametrize("action", ["error", "enospc", "eio"])
def test_a_copy_that_fails_at_any_point_leaves_the_old_or_the_new(
    world: FakeWorld, direction: str, action: str, what: str
) -> None:
    points = [point for way, point in copy_points() if way == direction]
    world.start_daemon(failpoints=",".join(f"{point}={action}" for point in points))
    world.succeed("vm", "run", "-d", "--no-workspace", "--name", "box")
    words, target = prepare_copy(world, direction, what)
    for point in points:
        put(target, what, OLD)
        failed = world.banger(*words)
        assert failed.returncode == (8 if action == "enospc" else 1), (point, failed)
        assert b"Traceback" not in failed.stderr
        assert check_copy(world, target) == (NEW if is_placed(direction, point) else OLD), point
    world.succeed(*words)
    assert check_copy(world, target) == NEW


def is_placed(direction: str, point: str) -> bool:
    """Whether the copy has its name by then: in a guest its agent gives it that at the end of the transfer."""
    _, step, moment = point.split(".")
    acted = moment in ("after_act", "after_done")
    return (acted and step == ("transfer" if direction == "in" else "place")) or step == "tidy"


@pytest.mark.parametrize(
    "point",
    [point for point in all_points() if point.split(".")[0] in ("create", "start") and point.endswith("after_act")],
)
def test_a_step_that_fails_is_taken_back_and_the_next_try_works(world: FakeWorld, point: str) -> None:
    world.start_daemon(failpoints=f"{point}=error")
    run = ("vm", "run", "-d", "--nat", "--no-workspace", "--name", "box")
    failed = world.banger(*run)
    assert failed.returncode == 1
    assert b"Traceback" not in failed.stderr
    assert world.vms() == []
    world.check_nothing_left()
    world.succeed(*run)


def test_every_kind_of_operation_is_swept(tmp_path: Path) -> None:
    """An operation whose steps are not in the sweep fails the build."""
    layout = Layout(*(tmp_path / name for name in "cskr"))
    parts = fake_collaborators(layout, Configuration())
    operations = compose_operations(layout, parts, NOBODY, Supervisor())
    swept = {point.partition(".")[0] for point in (*all_points(), *(point for _, point in copy_points()))}
    elsewhere = {"import", "update", "export", "apply", "fetch"}  # test_crash_workspaces
    assert {operation.kind for operation in operations.all()} == swept | elsewhere
