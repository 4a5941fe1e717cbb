"""`image save` around the work in the guest: what is refused, and that the throw-away VM goes whatever happens."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.component.fake_world import FakeWorld
from tests.component.test_life import until


@pytest.fixture
def stopped(tmp_path: Path) -> Iterator[FakeWorld]:
    """A world with a stopped VM, box."""
    world = FakeWorld(tmp_path / "w", cache=tmp_path / "cache")
    world.root.mkdir()
    world.start_daemon()
    world.succeed("vm", "run", "-d", "--no-workspace", "--name", "box")
    world.succeed("vm", "stop", "box")
    yield world
    world.clear()


def test_a_stopped_vm_is_saved(stopped: FakeWorld) -> None:
    image = stopped.json("image", "save", "box", "tools")
    assert image["name"] == "tools"
    assert [vm["name"] for vm in stopped.vms()] == ["box"]
    assert stopped.vms()[0]["state"] == "stopped"
    assert "tools" in {image["name"] for image in stopped.json("image", "list")["images"]}
    stopped.succeed("vm", "start", "box")
    stopped.succeed("vm", "run", "--rm", "--no-workspace", "--image", "tools", "--", "true")


def test_what_cannot_be_saved(stopped: FakeWorld) -> None:
    for arguments, status, said in (
        (("box", "fake"), 4, b"already an image named fake"),
        (("box", "No"), 2, b"image name"),
        (("nobody", "tools"), 3, b"nobody"),
    ):
        refused = stopped.banger("image", "save", *arguments)
        assert refused.returncode == status, refused
        assert said in refused.stderr
    stopped.succeed("vm", "start", "box")
    refused = stopped.banger("image", "save", "box", "tools")
    assert b"running" in refused.stderr
    assert b"banger vm stop box" in refused.stderr
    (stopped.run_directory / "free_bytes").write_text(str(1 << 30))
    stopped.succeed("vm", "stop", "box")
    assert b"free" in stopped.banger("image", "save", "box", "tools").stderr
    (stopped.run_directory / "free_bytes").unlink()
    assert [vm["name"] for vm in stopped.vms()] == ["box"]


@pytest.mark.parametrize(
    "failpoint",
    ["create.disk.after_act", "start.vmm.after_act", "start.guest.after_done", "delete.processes.after_act"],
)
def test_a_daemon_that_dies_leaves_no_vm(stopped: FakeWorld, failpoint: str) -> None:
    assert stopped.daemon is not None
    stopped.daemon.terminate()
    stopped.daemon.wait(30)
    stopped.start_daemon(failpoints=f"{failpoint}=kill")
    stopped.banger("image", "save", "box", "tools")
    stopped.wait_for_death()
    stopped.start_daemon()
    assert [vm["name"] for vm in stopped.vms()] == ["box"]
    stopped.succeed("vm", "start", "box")


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL], ids=["Ctrl-C", "kill -9 of the daemon"])
def test_what_is_ended_while_the_root_is_read(stopped: FakeWorld, tmp_path: Path, end: signal.Signals) -> None:
    begun = stopped.run_directory / "archive_begun"
    begun.touch()
    saving = stopped.start("image", "save", "box", "tools")
    until(lambda: begun.stat().st_size)
    if end == signal.SIGINT:
        saving.send_signal(end)
        saving.communicate(timeout=60)
        assert saving.returncode == 130
    else:
        assert stopped.daemon is not None
        stopped.daemon.send_signal(end)
        stopped.wait_for_death()
        saving.communicate(timeout=60)
        begun.unlink()
        stopped.start_daemon()
    drafts = tmp_path / "cache" / "banger" / "images" / "drafts"
    until(lambda: [vm["name"] for vm in stopped.vms()] == ["box"] and list(drafts.iterdir()) == [])
    assert "tools" not in {image["name"] for image in stopped.json("image", "list")["images"]}
    stopped.succeed("vm", "start", "box")


def test_a_guest_that_does_not_boot_is_told_about(stopped: FakeWorld) -> None:
    assert stopped.daemon is not None
    stopped.daemon.terminate()
    stopped.daemon.wait(30)
    stopped.start_daemon(vmm="dies")
    refused = stopped.banger("image", "save", "box", "tools")
    assert refused.returncode != 0
    assert b"the VMM ended before the guest answered" in refused.stderr
    assert [vm["name"] for vm in stopped.vms()] == ["box"]
