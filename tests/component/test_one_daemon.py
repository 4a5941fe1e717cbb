"""Two daemons never have the same VMs, whatever the environment says about where sockets are."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from tests.component.fake_world import FakeWorld

RUN = ("vm", "run", "-d", "--no-workspace", "--name")


@pytest.fixture
def elsewhere(fake_world: FakeWorld) -> dict[str, str]:
    """The environment of a command that has another directory for sockets."""
    place = fake_world.root / "elsewhere"
    place.mkdir(mode=0o700)
    return {"XDG_RUNTIME_DIR": str(place)}


def banger(world: FakeWorld, environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*world.command, *words], env={**world.environment, **environment}, capture_output=True, timeout=60, check=False
    )


def refused(world: FakeWorld, elsewhere: dict[str, str]) -> str:
    done = banger(world, elsewhere, "vm", "list", "--json")
    assert done.returncode == 5, done
    error = json.loads(done.stdout)["error"]
    assert str(Path(world.environment["XDG_RUNTIME_DIR"], "banger")) in error["summary"]
    return str(error["hint"])


def test_a_command_with_another_runtime_directory_is_told_the_right_one(
    fake_world: FakeWorld, elsewhere: dict[str, str]
) -> None:
    fake_world.succeed(*RUN, "box")
    before = fake_world.vms()
    assert f"XDG_RUNTIME_DIR={fake_world.environment['XDG_RUNTIME_DIR']}" in refused(fake_world, elsewhere)
    assert fake_world.vms() == before
    fake_world.kill_daemon()  # the VM runs, and its sockets are where they were
    refused(fake_world, elsewhere)
    fake_world.start_daemon()
    assert [(vm["name"], vm["state"]) for vm in fake_world.vms()] == [("box", "running")]


def test_the_directory_may_change_when_nothing_runs(fake_world: FakeWorld, elsewhere: dict[str, str]) -> None:
    fake_world.succeed(*RUN, "box")
    fake_world.succeed("vm", "stop", "box")
    fake_world.succeed("daemon", "stop")
    assert fake_world.daemon is not None
    assert fake_world.daemon.wait(30) == 0
    other = banger(fake_world, elsewhere, "vm", "list", "-q")
    assert (other.returncode, len(other.stdout.splitlines())) == (0, 1), other
    assert banger(fake_world, elsewhere, "daemon", "stop").returncode == 0
    fake_world.start_daemon()
    assert [vm["name"] for vm in fake_world.vms()] == ["box"]


def test_a_daemon_whose_socket_was_removed_is_named(fake_world: FakeWorld) -> None:
    assert fake_world.daemon is not None
    run = Path(fake_world.environment["XDG_RUNTIME_DIR"], "banger")
    aside = run.with_name("aside")
    run.rename(aside)
    try:
        done = fake_world.banger("vm", "list")
        assert done.returncode == 5, done
        assert f"`kill {fake_world.daemon.pid}` ends it".encode() in done.stderr
    finally:
        for left in sorted(run.rglob("*"), reverse=True):
            left.rmdir() if left.is_dir() else left.unlink()
        run.rmdir()
        aside.rename(run)
