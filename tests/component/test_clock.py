"""A wall clock that jumps: nothing ends, nothing is deleted, nobody waits longer, whatever it says."""

from __future__ import annotations

import pytest
from tests.component.fake_world import FakeWorld

YEAR_S = 366 * 24 * 3600
ECHO = ("--cwd", "/", "echo", "alive")


@pytest.mark.parametrize("jump_s", [YEAR_S, -YEAR_S])
def test_a_jump_changes_nothing(fake_world: FakeWorld, jump_s: int) -> None:
    def jump(seconds: int) -> None:
        (fake_world.run_directory / "clock_offset_s").write_text(str(seconds))

    fake_world.succeed("vm", "run", "-d", "--no-workspace", "--ttl", "2h", "--name", "mortal")
    fake_world.succeed("vm", "run", "-d", "--no-workspace", "--name", "box")
    working = fake_world.start("vm", "exec", "box", "--cwd", "/", "--", "sh", "-c", "read line; echo $line", stdin=-1)
    pids = {vm["name"]: vm["pid"] for vm in fake_world.vms()}
    jump(jump_s)
    assert fake_world.succeed("vm", "exec", "box", *ECHO) == b"alive\n"
    output, _ = working.communicate(b"waited\n", timeout=60)
    assert (working.returncode, output) == (0, b"waited\n")
    fake_world.kill_daemon()
    fake_world.start_daemon()
    assert {vm["name"]: (vm["state"], vm["pid"]) for vm in fake_world.vms()} == {
        name: ("running", pid) for name, pid in pids.items()
    }
    (left_s,) = (vm["ttl_left_s"] for vm in fake_world.vms() if vm["name"] == "mortal")
    assert 3600 < left_s <= 7200
    for offset_s in (0, jump_s, -jump_s):
        jump(offset_s)
        fake_world.succeed("vm", "stop", "box")
        fake_world.succeed("vm", "start", "box")
        assert fake_world.succeed("vm", "exec", "box", *ECHO) == b"alive\n"
    fake_world.kill_daemon()
    fake_world.start_daemon()
    assert {vm["name"]: vm["state"] for vm in fake_world.vms()} == {"box": "running", "mortal": "running"}
