"""`banger system install`, `status`, `restart` and `uninstall`, with a systemd that is small and works."""

from __future__ import annotations

import os
import pwd
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.component.example_world import ExampleWorld, make_project
from tests.json_outputs import check_output
from tests.world import REPOSITORY


class ServiceWorld(ExampleWorld):
    """Its PATH begins with a `systemctl` and a `loginctl`."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, cache=root / "cache")
        self.systemd = root / "systemd"
        self.systemd.mkdir()
        self.environment["FAKE_SYSTEMD"] = str(self.systemd)
        for name in ("systemctl", "loginctl"):
            program = root / "bin" / name
            program.write_text(f'#!/bin/sh\nexec {sys.executable} {REPOSITORY}/tests/fakes/systemctl.py "$0" "$@"\n')
            program.chmod(0o755)

    @property
    def unit(self) -> Path:
        return self.root / "config" / "systemd" / "user" / "banger.service"


STRANGE = "a $% 'w\""


@pytest.fixture(params=["w", STRANGE])
def world(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[ServiceWorld]:
    world = ServiceWorld(tmp_path / request.param)
    yield world
    world.banger("system", "uninstall", "--purge", "-f")
    world.end()


def pid_and_state(world: ServiceWorld) -> tuple[int, str]:
    status = world.json("system", "status")
    check_output(("system", "status"), status)
    return status["daemon"]["pid"], status["service"]["state"]


def test_a_service_takes_over_and_vms_go_on(world: ServiceWorld, tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    world.succeed("vm", "run", "-d", "--name", "box", ".", cwd=project)
    before = world.json("daemon", "status")["daemon"]["pid"]
    assert pid_and_state(world) == (before, "not installed")

    installed = world.json("system", "install")
    check_output(("system", "install"), installed)
    assert installed["unit"] == str(world.unit)
    assert installed["changed"]
    pid, state = pid_and_state(world)
    assert pid == installed["daemon"]["pid"] != before
    assert state == "active"
    assert world.succeed("vm", "exec", "box", "--", "echo", "on") == b"on\n"

    again = world.json("system", "install")
    assert (again["changed"], again["daemon"]["pid"]) == (False, pid)

    restarted = world.json("system", "restart")
    check_output(("system", "restart"), restarted)
    assert restarted["daemon"]["pid"] != pid
    assert pid_and_state(world) == (restarted["daemon"]["pid"], "active")

    removed = world.json("system", "uninstall")
    check_output(("system", "uninstall"), removed)
    assert removed == {"removed": [str(world.unit)], "deleted_vms": 0}
    assert not world.unit.exists()
    status = world.banger("system", "status")
    assert status.returncode == 3
    assert b"not running" in status.stdout
    assert world.succeed("vm", "exec", "box", "--", "echo", "still") == b"still\n"


def test_purging_leaves_nothing_but_the_configuration(world: ServiceWorld, tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    (world.root / "config" / "banger").mkdir(parents=True)
    (world.root / "config" / "banger" / "config.toml").write_text('log_level = "info"\n')
    elsewhere = tmp_path / "big disk"
    elsewhere.mkdir()
    (world.root / "cache").mkdir()
    (world.root / "cache" / "banger").symlink_to(elsewhere)
    ssh = world.root / ".ssh"
    ssh.mkdir(mode=0o700)
    (ssh / "config").write_text("Host mine\n")
    world.succeed("vm", "run", "-d", "--name", "box", ".", cwd=project)
    world.succeed("vm", "create", "idle", "--no-start")
    world.succeed("system", "install")
    world.succeed("completion", "install", "--shell", "zsh")
    if STRANGE not in str(world.root):  # ssh can include no such name
        world.succeed("ssh-config", "--install")
    assert list(elsewhere.iterdir())

    refused = world.banger("system", "uninstall", "--purge")
    assert refused.returncode == 2
    assert b"-f" in refused.stderr
    assert len(world.vms()) == 2

    removed = world.json("system", "uninstall", "--purge", "-f")
    check_output(("system", "uninstall"), removed)
    assert removed["deleted_vms"] == 2
    assert list(elsewhere.iterdir()) == []
    left = {path.relative_to(world.root) for path in world.root.rglob("*") if path.is_file()}
    beside = {"bin", "systemd", "guest"}
    assert {str(path) for path in left if path.parts[0] not in beside} == {".ssh/config", "config/banger/config.toml"}
    assert (ssh / "config").read_text() == "Host mine\n"
    world.check_nothing_left()
    assert world.succeed("system", "uninstall", "--purge", "-f") == b"There was nothing to remove.\n"


def test_without_a_systemd_nothing_is_written(world: ServiceWorld) -> None:
    (world.systemd / "absent").touch()
    refused = world.banger("system", "install")
    assert refused.returncode == 7
    assert b"No medium found" in refused.stderr
    assert b"each command starts the daemon" in refused.stderr
    assert not world.unit.exists()


def test_a_service_that_does_not_become_ready_is_told_of(world: ServiceWorld) -> None:
    (world.systemd / "broken").touch()
    failed = world.banger("system", "install")
    assert failed.returncode == 9
    assert b"was not ready within 15 s" in failed.stderr
    assert b"systemctl --user status" in failed.stderr
    (world.systemd / "broken").unlink()
    world.succeed("system", "install")
    assert pid_and_state(world)[1] == "active"


def test_what_stays_when_nobody_is_logged_in(world: ServiceWorld) -> None:
    """The fake `loginctl` refuses, as it does for users whom polkit does not trust."""
    name = pwd.getpwuid(os.getuid()).pw_name
    said = world.banger("system", "install").stderr.decode()
    if not Path(f"/var/lib/systemd/linger/{name}").exists():
        assert f"sudo loginctl enable-linger {name}" in said
