"""What is left over, and where the space went, with a real daemon."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.component.fake_world import FakeWorld
from tests.component.test_life import until

from banger.core.content_store import ContentStore
from banger.core.layout import layout_from_environment
from banger.core.platforms import host_architecture

RUN = ("vm", "run", "-d", "--no-workspace")


def test_nothing_is_left_whatever_the_state(fake_world: FakeWorld) -> None:
    assert fake_world.json("doctor", "--leaks") == {"leaks": []}
    fake_world.succeed(*RUN, "--name", "a", "--nat")
    fake_world.succeed(*RUN, "--name", "b")
    fake_world.succeed("vm", "stop", "b")
    done = fake_world.banger("doctor", "--leaks")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"Nothing was left over.\n")


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


def test_what_killed_makers_left_is_listed_and_the_next_daemon_removes_it(world: FakeWorld) -> None:
    layout = layout_from_environment(world.environment, uid=os.getuid())
    unfinished = layout.bases / ".0123.01234567"
    unfinished.parent.mkdir(parents=True)
    make_old(unfinished)
    world.start_daemon()
    until(lambda: not unfinished.exists())  # it has cleared up, and does so again in a minute
    images, kernels = (store / "drafts" / "0123456789abcdef" for store in (layout.images, layout.kernels))
    for draft in (images / "tmp", kernels):
        draft.mkdir(parents=True)
        (draft / "half").write_text("half")
    make_old(unfinished)
    argv = [sys.executable, "-c", "import time; time.sleep(600)", "mmdebstrap"]
    builder = subprocess.Popen(argv, cwd=images / "tmp", start_new_session=True)
    try:
        with ContentStore(layout.images, kind="image", native=host_architecture()).draft() as living:
            leaks = json.loads(world.banger("doctor", "--leaks", "--json").stdout)["leaks"]
            assert sorted((leak["kind"], leak["what"]) for leak in leaks) == [
                ("draft", str(images)),
                ("draft", str(kernels)),
                ("partial_file", str(unfinished)),
                ("process", f"process {builder.pid} that builds in {images / 'tmp'}"),
            ]
            world.restart_daemon()
            assert builder.wait(60) != 0
            until(lambda: world.banger("doctor", "--leaks").returncode == 0)
            assert not images.exists()
            assert not kernels.exists()
            assert not unfinished.exists()
            assert living.is_dir()
    finally:
        builder.kill()
        builder.wait()


def make_old(path: Path) -> None:
    path.touch()
    os.utime(path, (0, 0))


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


def test_the_doctor_tells_what_each_vmm_can_do(fake_world: FakeWorld) -> None:
    """One that does not work is no failure as long as another one does."""
    checks = {check["id"]: check for check in json.loads(fake_world.banger("doctor", "--json").stdout)["checks"]}
    assert (checks["vmm_fake"]["level"], checks["vmm_fake"]["text"]) == ("pass", "a test guest ran")
    assert (checks["vmm_fast"]["level"], checks["vmm_fast"]["text"]) == ("warn", "there is none here")
