"""A full or failing disk at each writing step of each operation: a typed error, nothing left, and the retry works.

The steps are those of the crash sweep, so a new step is covered on the day it is written.
"""

from __future__ import annotations

import pytest
from tests.component.fake_world import FakeWorld
from tests.component.test_crashes import COMMANDS, all_points

STATUS = {"enospc": 8, "eio": 1}
SAID = {"enospc": b"there is no space left", "eio": b"the disk failed"}
FORWARD = ("stop", "kill", "delete")
BACK = ("set", "pause", "resume")
RUN = ("vm", "run", "-d", "--nat", "--no-workspace", "--name", "box")


def points_of(kind: str) -> list[str]:
    return [point for point in all_points() if point.split(".")[0] == kind]


def test_no_kind_is_forgotten() -> None:
    assert {point.split(".")[0] for point in all_points()} == {"create", "start", *FORWARD, *BACK}


def check_failure(world: FakeWorld, action: str, *command: str) -> bool:
    """Run a command that may fail in the one way it is allowed to. Did it fail?"""
    done = world.banger(*command)
    if done.returncode == 0:
        return False
    assert done.returncode == STATUS[action], (done.stderr, world.log_tail())
    assert SAID[action] in done.stderr, done.stderr
    assert b"hint:" in done.stderr
    assert b"Traceback" not in done.stderr
    return True


@pytest.mark.parametrize("action", STATUS)
@pytest.mark.parametrize("kind", ["create", "start"])
def test_what_rolls_back_leaves_nothing(world: FakeWorld, kind: str, action: str) -> None:
    points = points_of(kind)
    world.start_daemon(failpoints=",".join(f"{point}={action}" for point in points))
    for point in points:
        assert check_failure(world, action, *RUN), point
        assert world.vms() == [], point
        world.check_nothing_left()
    world.succeed(*RUN)


@pytest.mark.parametrize("action", STATUS)
def test_a_start_that_fails_keeps_the_vm(world: FakeWorld, action: str) -> None:
    world.start_daemon()
    world.succeed(*RUN)
    world.succeed("vm", "stop", "box")
    world.kill_daemon()
    points = points_of("start")
    world.start_daemon(failpoints=",".join(f"{point}={action}" for point in points))
    for point in points:
        assert check_failure(world, action, "vm", "start", "box"), point
        assert [vm["state"] for vm in world.vms()] == ["stopped"]
        assert not any((world.run_directory / "vms").iterdir())
        assert world.rows("step") == 0
    world.succeed("vm", "start", "box")
    assert world.succeed("vm", "exec", "box", "--cwd", "/", "echo", "alive") == b"alive\n"


@pytest.mark.parametrize("action", STATUS)
@pytest.mark.parametrize("kind", BACK)
def test_what_changes_a_vm_leaves_it_as_it_was(world: FakeWorld, kind: str, action: str) -> None:
    points = points_of(kind)
    world.start_daemon(failpoints=",".join(f"{point}={action}" for point in points))
    world.succeed(*RUN)
    if kind == "resume":
        world.succeed("vm", "pause", "box")
    before = world.vms()
    for point in points:
        assert check_failure(world, action, "vm", *COMMANDS[kind]), point
        assert world.vms() == before, point
        assert world.rows("step") == 0, point
    world.succeed("vm", *COMMANDS[kind])
    assert world.vms() != before
    if kind == "pause":
        world.succeed("vm", "resume", "box")
    (vm,) = world.vms()
    assert world.succeed("vm", "exec", vm["name"], "--cwd", "/", "echo", "alive") == b"alive\n"


@pytest.mark.parametrize("action", STATUS)
@pytest.mark.parametrize("kind", FORWARD)
def test_what_rolls_forward_is_finished_by_the_retry(world: FakeWorld, kind: str, action: str) -> None:
    points = points_of(kind)
    world.start_daemon(failpoints=",".join(f"{point}={action}" for point in points))
    world.succeed(*RUN)
    failures = 0
    while check_failure(world, action, "vm", *COMMANDS[kind]):
        failures += 1
        assert failures <= len(points)
        assert [vm["name"] for vm in world.vms()] == ["box"]
    assert failures >= 2
    if kind != "delete":
        assert [vm["state"] for vm in world.vms()] == ["stopped"]
        assert world.rows("step") == 0
        world.succeed("vm", "start", "box")
        assert world.succeed("vm", "exec", "box", "--cwd", "/", "echo", "alive") == b"alive\n"
    else:
        assert world.vms() == []
        world.check_nothing_left()
