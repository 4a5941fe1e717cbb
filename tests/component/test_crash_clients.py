"""The crash sweep that kills the client, or the VMM, at every step, instead of the daemon."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

import pytest
from tests.component.fake_world import FakeWorld
from tests.component.test_crashes import COMMANDS, NEW, all_points, check_copy, copy_points, prepare_copy
from tests.component.test_life import until

RUN = ("vm", "run", "-d", "--nat", "--no-workspace", "--name", "box")
STABLE = {"running", "stopped", "paused"}


def midway() -> list[str]:
    return [point for point in all_points() if point.endswith((".after_intent", ".after_act"))]


@pytest.mark.parametrize("victim", ["client", "vmm"])
@pytest.mark.parametrize("point", midway())
def test_whoever_dies_in_the_middle_leaves_nothing(world: FakeWorld, point: str, victim: str) -> None:
    kind = point.partition(".")[0]
    making = kind in ("create", "start")
    if not making:
        world.start_daemon()
        world.succeed(*RUN)
        if kind == "resume":
            world.succeed("vm", "pause", "box")
        world.kill_daemon()
    world.start_daemon(failpoints=f"{point}=stall")
    client = world.start(*(RUN if making else ("vm", *COMMANDS[kind])))
    until(lambda: f"failpoint {point} is reached" in world.log_tail())
    if victim == "client":
        client.kill()
    else:
        end_vmms(world)
    client.communicate(timeout=120)
    until(lambda: {vm["state"] for vm in world.vms()} <= STABLE)
    if victim == "client" and making:
        assert world.vms() == []  # it belonged to the request
    if world.vms():
        until(lambda: world.vms()[0]["state"] in ("stopped", "paused") or answers(world))
        if world.vms()[0]["state"] == "paused":
            world.succeed("vm", "resume", "box")
        world.succeed("vm", "start", "box")
        assert answers(world)
    else:
        world.check_nothing_left()
        world.succeed(*RUN)


@pytest.mark.parametrize("victim", ["client", "vmm"])
@pytest.mark.parametrize(
    ("direction", "point"), [pair for pair in copy_points() if pair[1].endswith((".after_intent", ".after_act"))]
)
def test_whoever_dies_while_it_is_copied_leaves_the_old_or_the_new(
    world: FakeWorld, direction: str, point: str, victim: str
) -> None:
    world.start_daemon(failpoints=f"{point}=stall")
    world.succeed("vm", "run", "-d", "--no-workspace", "--name", "box")
    words, target = prepare_copy(world, direction, "tree")
    client = world.start(*words)
    until(lambda: f"failpoint {point} is reached" in world.log_tail())
    if victim == "client":
        client.kill()
    else:
        end_vmms(world)
    client.communicate(timeout=120)
    until(lambda: {vm["state"] for vm in world.vms()} <= STABLE and world.rows("step") == 0)
    check_copy(world, target)
    world.succeed("vm", "start", "box")
    until(lambda: answers(world))
    world.succeed(*words)
    assert check_copy(world, target) == NEW


def end_vmms(world: FakeWorld) -> None:
    for pid, command in world.processes():
        if b"vmm.py" in command:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def answers(world: FakeWorld) -> bool:
    return world.banger("vm", "exec", "box", "--cwd", "/", "true").returncode == 0


@pytest.mark.parametrize("victim", ["client", "daemon"])
def test_a_prune_that_dies_goes_on(world: FakeWorld, victim: str) -> None:
    """It is deletions: their steps are swept one by one; here several are under way."""
    world.start_daemon()
    for name in ("a", "b", "c"):
        world.succeed("vm", "create", "--no-start", name)
    world.kill_daemon()
    world.start_daemon(failpoints="delete.run_directory.after_act=stall")
    client = world.start("vm", "prune", "-f")
    until(lambda: "failpoint delete.run_directory.after_act is reached" in world.log_tail())
    if victim == "client":
        client.kill()
    else:
        world.kill_daemon()
        world.start_daemon()
    client.communicate(timeout=60)
    until(lambda: world.vms() == [])
