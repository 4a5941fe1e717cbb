"""What takes for ever, or goes wrong in a way nobody foresaw: it is no reason for anything else to wait or to fail."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tests.component.fake_world import FakeWorld
from tests.reliability.api import Api
from tests.world import until


def test_a_machine_that_somebody_works_on_for_ever_keeps_no_other_from_being_looked_after(
    world: FakeWorld, tmp_path: Path
) -> None:
    pushed = tmp_path / "uptime"
    world.environment |= {"BANGER_TEST_INTERVAL_S": "0.2", "BANGER_TEST_UPTIME_FILE": str(pushed)}
    world.start_daemon(failpoints="start.guest.before_intent=hang")
    for name in ("busy", "idle"):
        world.succeed("vm", "create", name, "--no-start", "--ttl", "2h")
    starting = world.start("vm", "start", "busy")
    until(lambda: {vm["name"]: vm["state"] for vm in world.vms()} == {"busy": "starting", "idle": "stopped"})
    pushed.write_text("10000")
    until(lambda: [vm["name"] for vm in world.vms()] == ["busy"], deadline_s=20)
    starting.terminate()
    starting.communicate(timeout=30)
    until(lambda: world.vms() == [], deadline_s=20)


def test_a_machine_whose_stop_hangs_is_killed_at_once(fake_world: FakeWorld) -> None:
    """The stop would have waited for the guest's answer, and then have told that it used force."""
    api = Api(fake_world)
    api.run_detached("box")
    vmm = api.show("box")["pid"]
    (agent,) = map(int, Path(f"/proc/{vmm}/task/{vmm}/children").read_text().split())
    os.kill(agent, signal.SIGSTOP)
    stopping = fake_world.start("vm", "stop", "box")
    until(lambda: api.show("box")["state"] == "stopping")
    api.act("kill", "box", signal="KILL")
    _, said = stopping.communicate(timeout=60)
    assert stopping.returncode == 0
    assert b"by force" not in said
    assert api.show("box")["state"] == "stopped"


def test_what_goes_wrong_with_one_machine_is_no_reason_to_leave_the_others_alone(fake_world: FakeWorld) -> None:
    """An image whose manifest cannot be read, which is no error of banger's own."""
    source = fake_world.root / "layout"
    source.mkdir()
    (source / "oci-layout").touch()
    fake_world.succeed("image", "import", str(source), "--name", "other")
    fake_world.succeed("vm", "create", "bad", "--no-start", "--image", "other")
    fake_world.succeed("vm", "create", "good", "--no-start")
    digest = fake_world.json("vm", "show", "bad")["image_digest"]
    (manifest,) = (fake_world.root.parent / "cache").rglob(f"{digest.removeprefix('sha256:')}/manifest.json")
    manifest.parent.chmod(0o700)
    kept = manifest.rename(manifest.with_name("kept"))
    manifest.mkdir()
    try:
        done = fake_world.banger("vm", "start", "bad", "good")
        assert done.returncode == 1, done.stderr
        assert b"manifest.json" in done.stderr
        assert {vm["name"]: vm["state"] for vm in fake_world.vms()} == {"bad": "stopped", "good": "running"}
    finally:
        manifest.rmdir()
        kept.rename(manifest)
