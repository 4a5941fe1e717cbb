"""A daemon whose database was damaged: what runs keeps running, what is there stays, and the user is told once."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from tests.component.fake_world import FakeWorld
from tests.component.test_life import until

RUN = ("vm", "run", "-d", "--no-workspace", "--name")
ECHO = ("--cwd", "/", "echo", "alive")


def damage(world: FakeWorld) -> None:
    """Overwrite the database with noise; its log goes as well."""
    database = world.state / "banger.db"
    database.write_bytes(b"\x17" * database.stat().st_size)
    for suffix in ("-wal", "-shm"):
        database.with_name(database.name + suffix).unlink(missing_ok=True)


def of_another_version(world: FakeWorld, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """Run a command line that speaks version 99 of the API."""
    program = "import banger.api.version as v; v.API_VERSION = 99; from banger.__main__ import main; main()"
    return subprocess.run(
        [sys.executable, "-c", program, *arguments], env=world.environment, capture_output=True, timeout=60, check=False
    )


def clean(world: FakeWorld) -> None:
    for path in world.state.glob("banger.db.damaged-*"):
        path.unlink()


def test_everything_is_made_again(fake_world: FakeWorld) -> None:
    for name in ("run", "off"):
        fake_world.succeed(*RUN, name)
    fake_world.succeed("vm", "rename", "off", "away")
    fake_world.succeed("vm", "stop", "away")
    before = {vm["name"]: vm for vm in fake_world.vms()}
    boot_id = fake_world.json("vm", "show", "run")["boot_id"]
    fake_world.kill_daemon()
    damage(fake_world)
    said = fake_world.spawn_daemon()
    notice = json.loads(said)["notice"]
    assert "banger.db.damaged-1" in notice
    assert "away, run" in notice or "run, away" in notice
    after = {vm["name"]: vm for vm in fake_world.vms()}
    assert after.keys() == before.keys()
    for name in before:
        for member in ("id", "state", "pid", "vcpu", "memory_mib", "disk_bytes", "created_at_s", "ephemeral"):
            assert after[name][member] == before[name][member], (name, member)
    shown = fake_world.json("vm", "show", "run")
    assert shown["boot_id"] == boot_id
    assert abs(shown["started_at_s"] - before["run"]["started_at_s"]) < 60
    assert fake_world.succeed("vm", "exec", "run", *ECHO) == b"alive\n"
    fake_world.succeed("vm", "start", "away")
    assert fake_world.succeed("vm", "exec", "away", *ECHO) == b"alive\n"
    # It is told where one looks for it, and the doctor remembers as long as the damaged file is there.
    assert b"damaged-1" in fake_world.succeed("daemon", "status")
    checks = {check["id"]: check for check in fake_world.json("doctor")["checks"]}
    assert checks["database"]["level"] == "warn"
    clean(fake_world)
    checks = {check["id"]: check for check in fake_world.json("doctor")["checks"]}
    assert checks["database"]["level"] == "pass"
    fake_world.restart_daemon()
    assert b"notice" not in fake_world.succeed("daemon", "status")


def test_a_directory_without_a_manifest_stays_where_it_is(fake_world: FakeWorld) -> None:
    fake_world.succeed(*RUN, "box")
    fake_world.succeed("vm", "stop", "box")
    (vm,) = fake_world.vms()
    directory = fake_world.state / "vms" / vm["id"]
    manifest = (directory / "vm.json").read_bytes()
    fake_world.kill_daemon()
    damage(fake_world)
    (directory / "vm.json").write_bytes(b"{")
    assert b"without a readable manifest" in fake_world.spawn_daemon()
    assert fake_world.vms() == []
    assert (directory / "data.ext4").read_bytes() == b"disk"
    # Whoever repairs it has the VM back.
    (directory / "vm.json").write_bytes(manifest)
    fake_world.kill_daemon()
    assert b'"notice"' in fake_world.spawn_daemon()
    assert [(again["id"], again["state"]) for again in fake_world.vms()] == [(vm["id"], "stopped")]
    fake_world.succeed("vm", "start", "box")
    clean(fake_world)


def test_a_newer_database_is_refused_in_one_sentence(world: FakeWorld) -> None:
    world.start_daemon()
    world.succeed(*RUN, "box")
    world.kill_daemon()
    database = world.state / "banger.db"
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        connection.execute("PRAGMA user_version = 77")
    content = database.read_bytes()
    done = world.banger("vm", "list")
    assert done.returncode == 7
    assert done.stdout == b""
    lines = done.stderr.decode().splitlines()
    assert lines[0] == (f"banger: the database has schema 77, and this banger knows {version}: a newer banger wrote it")
    assert lines[1].lstrip().startswith("hint: install the newer banger again")
    assert len(lines) == 2
    assert database.read_bytes() == content
    assert list(world.state.glob("banger.db*")) == [database]
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA user_version = {version}")
    world.start_daemon()
    assert world.vms()[0]["state"] == "running"


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everything")
def test_a_database_that_may_not_be_written_is_refused(fake_world: FakeWorld) -> None:
    fake_world.kill_daemon()
    database = fake_world.state / "banger.db"
    database.chmod(0o400)
    done = fake_world.banger("vm", "list")
    assert done.returncode == 6
    assert b"hint:" in done.stderr
    database.chmod(0o600)
    fake_world.start_daemon()


def test_the_command_that_starts_the_daemon_tells_about_the_damage(fake_world: FakeWorld, tmp_path: Path) -> None:
    """Through the real command line and the real daemon, which needs no machine for that."""
    fake_world.succeed(*RUN, "box")
    fake_world.succeed("vm", "stop", "box")
    fake_world.kill_daemon()
    damage(fake_world)
    first = fake_world.banger("vm", "list", "--json")
    assert first.returncode == 0, first.stderr
    assert b"banger: the database was damaged" in first.stderr
    assert [vm["name"] for vm in json.loads(first.stdout)["vms"]] == ["box"]
    second = fake_world.banger("vm", "list")
    assert (second.returncode, second.stderr) == (0, b"")
    fake_world.succeed("daemon", "stop")
    clean(fake_world)
    fake_world.start_daemon()


def test_a_daemon_and_a_command_of_two_versions(fake_world: FakeWorld) -> None:
    fake_world.succeed(*RUN, "box")
    done = of_another_version(fake_world, "vm", "list")
    assert done.returncode == 7
    assert b"hint: run `banger daemon restart`; running VMs stay as they are" in done.stderr
    assert of_another_version(fake_world, "daemon", "stop").returncode == 0
    assert fake_world.daemon is not None
    assert fake_world.daemon.wait(30) == 0
    fake_world.start_daemon()
    (vm,) = fake_world.vms()
    assert vm["state"] == "running"
    assert fake_world.succeed("vm", "exec", "box", *ECHO) == b"alive\n"


def test_an_agent_of_another_version_is_explained_and_goes_on_running(world: FakeWorld) -> None:
    world.start_daemon(vmm="updated")
    world.succeed(*RUN, "box")
    pid = world.vms()[0]["pid"]
    world.kill_daemon()
    world.start_daemon()
    until(lambda: "version 99" in world.vms()[0]["problem"])
    (vm,) = world.vms()
    assert (vm["state"], vm["pid"]) == ("running", pid)
    done = world.banger("vm", "exec", "box", *ECHO)
    assert done.returncode == 7
    assert b"speaks version 99 of the protocol" in done.stderr
    assert b"banger vm restart" in done.stderr
    world.succeed("vm", "restart", "box")
    assert world.succeed("vm", "exec", "box", *ECHO) == b"alive\n"


def test_an_agent_of_another_version_does_not_start(world: FakeWorld) -> None:
    world.start_daemon(vmm="other_agent")
    done = world.banger(*RUN, "box")
    assert done.returncode == 1
    assert b"speaks version 99 of the protocol" in done.stderr
    world.check_nothing_left()


def test_a_guest_that_hangs_keeps_nobody(fake_world: FakeWorld) -> None:
    fake_world.succeed(*RUN, "box")
    agent = next(pid for pid, command in fake_world.processes() if b"--serve-fd" in command)
    os.kill(agent, signal.SIGSTOP)
    waiting = fake_world.start("vm", "exec", "box", *ECHO)
    assert fake_world.vms()[0]["state"] == "running"
    assert fake_world.json("vm", "show", "box")["state"] == "running"
    fake_world.succeed("vm", "stop", "box")
    assert fake_world.vms()[0]["state"] == "stopped"
    _, told = waiting.communicate(timeout=60)
    assert waiting.returncode not in (0, 70), told
    assert b"Traceback" not in told
    fake_world.succeed("vm", "start", "box")
    assert fake_world.succeed("vm", "exec", "box", *ECHO) == b"alive\n"


def test_a_host_with_too_little_space_starts_nothing(fake_world: FakeWorld) -> None:
    fake_world.succeed(*RUN, "box")
    fake_world.succeed("vm", "stop", "box")
    (fake_world.run_directory / "free_bytes").write_text("1000000")
    for command in ((*RUN, "other"), ("vm", "create", "other"), ("vm", "start", "box")):
        done = fake_world.banger(*command)
        assert done.returncode == (8 if "start" in command else 2), command  # 2: refused before anything was made
        assert b"are free where banger keeps its VMs" in done.stderr
    assert [(vm["name"], vm["state"]) for vm in fake_world.vms()] == [("box", "stopped")]
    (fake_world.run_directory / "free_bytes").unlink()
    fake_world.succeed("vm", "start", "box")
