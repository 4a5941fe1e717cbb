"""What is left over, and where the space went, with a real daemon."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

from tests.component.fake_world import FakeWorld

RUN = ("vm", "run", "-d", "--no-workspace")


def test_nothing_is_left_whatever_the_state(fake_world: FakeWorld) -> None:
    assert fake_world.json("doctor", "--leaks") == {"leaks": []}
    fake_world.succeed(*RUN, "--name", "a", "--nat")
    fake_world.succeed(*RUN, "--name", "b")
    fake_world.succeed("vm", "stop", "b")
    done = fake_world.banger("doctor", "--leaks")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"Nothing is left over.\n")


def test_what_is_left_is_listed_and_stays(fake_world: FakeWorld) -> None:
    unknown = "0b5c1d6e-7a42-4c8e-9a55-3f1f9be4c001"
    state, run = fake_world.state / "vms" / unknown, fake_world.run_directory / "vms" / unknown
    state.mkdir(parents=True)
    run.mkdir(parents=True)
    process = subprocess.Popen([sys.executable, "-c", "input()", unknown], cwd=run, stdin=subprocess.PIPE)
    try:
        done = fake_world.banger("doctor", "--leaks", "--json")
        assert done.returncode == 1
        leaks = json.loads(done.stdout)["leaks"]
        assert [leak["kind"] for leak in leaks] == ["process", "run_directory", "state_directory"]
        assert str(process.pid) in leaks[0]["what"]
        table = fake_world.banger("doctor", "--leaks")
        assert table.returncode == 1
        assert os.fsencode(state) in table.stdout
        assert process.poll() is None
        assert state.is_dir()
    finally:
        process.communicate(b"\n")
        shutil.rmtree(state)
        shutil.rmtree(run)


def test_where_the_space_went(fake_world: FakeWorld) -> None:
    fake_world.succeed(*RUN, "--name", "box")
    usage = fake_world.json("system", "df")
    assert [(one["kind"], one["name"], one["vms"]) for one in usage["shared"]] == [
        ("image", "fake", 1),
        ("kernel", "fake", 1),
        ("other", "", 0),
    ]
    (vm,) = usage["vms"]
    assert vm["name"] == "box"
    assert vm["disk_bytes"] > 0
    assert vm["total_bytes"] == vm["disk_bytes"] + vm["logs_bytes"] + vm["other_bytes"]
    assert usage["own_bytes"] == vm["total_bytes"]
    assert usage["free_bytes"] > 0
    text = fake_world.succeed("system", "df").decode()
    assert "box" in text
    assert "free; below 1 GiB" in text
