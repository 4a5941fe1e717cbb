"""The other verbs of a VM's life, through the real command line and daemon, with a fake VMM."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from pathlib import Path

import pytest
from tests.component.fake_world import FakeWorld
from tests.component.test_life import RUN, until


def test_create_without_starting(fake_world: FakeWorld) -> None:
    assert fake_world.succeed("vm", "create", "box", "--no-start", "--memory", "256M") == b"box\n"
    (vm,) = fake_world.vms()
    assert (vm["state"], vm["memory_mib"], vm["ephemeral"]) == ("stopped", 256, False)
    fake_world.succeed("vm", "start", "box")
    assert fake_world.succeed("vm", "exec", "box", "--cwd", "/", "echo", "hi") == b"hi\n"
    taken = fake_world.banger("vm", "create", "box", "--json")
    error = json.loads(taken.stdout)["error"]
    assert (taken.returncode, error["kind"], error["data"]["refused"]) == (2, "already_exists", True)
    assert fake_world.json("vm", "create")["state"] == "running"


def test_restart_is_another_boot(fake_world: FakeWorld) -> None:
    fake_world.succeed(*RUN, "--name", "box")
    before = fake_world.vms()[0]["pid"]
    assert fake_world.succeed("vm", "restart", "box") == b"box restarted\n"
    assert fake_world.vms()[0]["pid"] not in (None, before)


@pytest.mark.parametrize("name", ["KILL", "term", "SIGINT"])
def test_kill(fake_world: FakeWorld, name: str) -> None:
    fake_world.succeed(*RUN, "--name", "box")
    fake_world.succeed("vm", "kill", "--signal", name, "box")
    (vm,) = fake_world.vms()
    assert (vm["state"], vm["problem"]) == ("stopped", "")
    assert fake_world.banger("vm", "kill", "--signal", "STOP", "box").returncode == 2
    fake_world.succeed("vm", "kill", "box")  # stopped already


def test_a_paused_vm(fake_world: FakeWorld) -> None:
    fake_world.succeed(*RUN, "--name", "box")
    fake_world.succeed("vm", "pause", "box")
    (vm,) = fake_world.vms()
    assert (vm["state"], vm["problem"]) == ("paused", "")
    refused = fake_world.banger("vm", "exec", "box", "--cwd", "/", "true")
    assert refused.returncode == 5
    assert b"resume" in refused.stderr
    fake_world.kill_daemon()
    fake_world.start_daemon()
    assert fake_world.vms()[0]["state"] == "paused"
    fake_world.succeed("vm", "resume", "box")
    until(lambda: fake_world.banger("vm", "exec", "box", "--cwd", "/", "true").returncode == 0)
    fake_world.succeed("vm", "pause", "box")
    fake_world.succeed("vm", "stop", "box")
    assert fake_world.vms()[0]["state"] == "stopped"
    assert fake_world.banger("vm", "resume", "box").returncode == 5


def test_set_refuses_what_this_computer_cannot_give(fake_world: FakeWorld) -> None:
    fake_world.succeed("vm", "create", "box", "--no-start")
    for words in (("--memory", "17G"), ("--vcpu", "9")):
        assert fake_world.banger("vm", "set", "box", *words).returncode == 2
    fake_world.succeed("vm", "set", "box", "--memory", "16G", "--vcpu", "8")


def test_set_says_what_needs_a_restart(fake_world: FakeWorld) -> None:
    fake_world.succeed(*RUN, "--name", "box")
    done = fake_world.banger("vm", "set", "box", "--memory", "512M", "--disk", "2G", "--vcpu", "2", "--nat")
    assert done.returncode == 0
    assert b"vm restart box" in done.stderr
    (vm,) = fake_world.vms()
    assert vm["restart_needed"] == ["vcpu", "memory", "disk", "nat"]
    assert Path(fake_world.json("vm", "show", "box")["directory"], "data.ext4").stat().st_size == 2 << 30
    fake_world.succeed("vm", "restart", "box")
    (vm,) = fake_world.vms()
    assert (vm["restart_needed"], vm["memory_mib"], vm["vcpu"], vm["nat"]) == ([], 512, 2, True)
    shrunk = fake_world.banger("vm", "set", "box", "--disk", "1G")
    assert (shrunk.returncode, b"only grow" in shrunk.stderr) == (2, True)
    assert fake_world.banger("vm", "set", "box").returncode == 2
    assert fake_world.banger("vm", "set", "box", "--nat", "--no-nat", "--memory", "1K").returncode == 2


def test_rename(fake_world: FakeWorld) -> None:
    fake_world.succeed(*RUN, "--name", "box")
    fake_world.succeed(*RUN, "--name", "other")
    assert fake_world.banger("vm", "rename", "box", "other").returncode == 4
    assert fake_world.banger("vm", "rename", "box", "Not_Valid").returncode == 2
    fake_world.succeed("vm", "rename", "box", "crate")
    assert [vm["name"] for vm in fake_world.vms()] == ["crate", "other"]
    assert fake_world.banger("vm", "show", "box").returncode == 3
    fake_world.kill_daemon()
    fake_world.start_daemon()
    assert [vm["name"] for vm in fake_world.vms()] == ["crate", "other"]


def test_prune_never_touches_what_runs(fake_world: FakeWorld) -> None:
    for name in ("a", "b", "c"):
        fake_world.succeed(*RUN, "--name", name)
    fake_world.succeed("vm", "stop", "b")
    fake_world.succeed("vm", "pause", "c")
    assert fake_world.banger("vm", "prune").returncode == 2  # nobody can answer
    fake_world.succeed("vm", "prune", "-f")
    assert [vm["name"] for vm in fake_world.vms()] == ["a", "c"]
    assert fake_world.json("vm", "prune", "-f") == {"outcomes": []}


@pytest.mark.parametrize(("answer", "left"), [(b"n\n", ["a"]), (b"y\n", [])])
def test_prune_asks(fake_world: FakeWorld, answer: bytes, left: list[str]) -> None:
    fake_world.succeed("vm", "create", "--no-start", "a")
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*fake_world.command, "vm", "prune"],
        env=fake_world.environment,
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    os.write(ours, answer)
    _, asked = process.communicate(timeout=60)
    os.close(ours)
    os.close(theirs)
    assert b"Delete 1 VM" in asked
    assert b" a " in asked
    assert process.returncode == (0 if not left else 1)
    assert [vm["name"] for vm in fake_world.vms()] == left


def test_a_vm_whose_time_is_up_is_deleted_and_only_uptime_counts(world: FakeWorld, tmp_path: Path) -> None:
    pushed = tmp_path / "uptime"
    world.environment |= {"BANGER_TEST_INTERVAL_S": "0.2", "BANGER_TEST_UPTIME_FILE": str(pushed)}
    world.start_daemon()
    world.succeed("vm", "create", "short", "--ttl", "2h")
    world.succeed("vm", "create", "long", "--no-start", "--ttl", "5h")
    world.succeed("vm", "create", "kept", "--ttl", "1h")
    world.succeed("vm", "set", "kept", "--ttl", "0")
    assert 0 < world.json("vm", "show", "short")["ttl_left_s"] <= 7200
    pushed.write_text("10000")
    until(lambda: [vm["name"] for vm in world.vms()] == ["kept", "long"])
    world.kill_daemon()
    world.start_daemon()
    left_s = world.json("vm", "show", "long")["ttl_left_s"]
    assert left_s is not None
    assert left_s < 18000 - 9000
    pushed.write_text("30000")
    until(lambda: [vm["name"] for vm in world.vms()] == ["kept"])


def test_two_words_for_one_vm_are_one_request(fake_world: FakeWorld) -> None:
    fake_world.succeed(*RUN, "--name", "box")
    identity = fake_world.vms()[0]["id"]
    result = fake_world.json("vm", "stop", "box", identity, "box")
    assert [outcome["ref"] for outcome in result["outcomes"]] == ["box"]


def test_a_vm_that_nobody_uses_is_stopped_and_one_in_use_is_not(world: FakeWorld) -> None:
    config = world.root / "config" / "banger"
    config.mkdir(parents=True)
    (config / "config.toml").write_text('auto_stop_stale_after = "2s"\n')
    world.environment["BANGER_TEST_INTERVAL_S"] = "0.2"
    world.start_daemon()
    for name in ("idle", "used"):
        world.succeed(*RUN, "--name", name)
    command = world.start("vm", "exec", "used", "--cwd", "/", "--", "sleep", "3603")
    until(lambda: {vm["name"]: vm["state"] for vm in world.vms()} == {"idle": "stopped", "used": "running"})
    command.kill()
    command.communicate()
    until(lambda: {vm["state"] for vm in world.vms()} == {"stopped"})
