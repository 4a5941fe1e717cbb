"""A sample of the sweep in tests/component, with real machines; all of it with BANGER_SWEEP=all (`make sweep-vm`)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.component.test_crashes import COMMANDS, EXPECTED, all_points
from tests.world import World, timed_start

pytestmark = [pytest.mark.vm, pytest.mark.timeout(600)]

SAMPLE = [
    "create.disk.after_act",
    "start.vmm.after_act",
    "start.guest.after_intent",
    "pause.processors.after_act",
    "delete.processes.after_act",
]
RUN = ("vm", "run", "-d", "--nat", "--no-workspace", "--memory", "256M", "--name", "box")
ALIVE = ("vm", "exec", "box", "--", "echo", "alive")
# A real disk has a size to begin with.
WORDS = {**COMMANDS, "set": ("set", "box", "--disk", "10G", "--memory", "320M")}


@pytest.mark.parametrize("point", all_points() if os.environ.get("BANGER_SWEEP") == "all" else SAMPLE)
def test_a_daemon_killed_with_a_real_machine(tmp_path: Path, prepared_cache: Path, point: str) -> None:
    root = tmp_path / "w"
    root.mkdir()
    dying = World(root, cache=prepared_cache, extra={"BANGER_FAILPOINTS": f"{point}=kill"})
    healthy = World(root, cache=prepared_cache)
    kind = point.partition(".")[0]
    if kind in WORDS:
        healthy.succeed(*RUN)
        if kind == "resume":
            healthy.succeed("vm", "pause", "box")
        healthy.succeed("daemon", "stop")
        assert dying.banger("vm", *WORDS[kind]).returncode == 8
        expected = EXPECTED[kind]
    else:
        assert dying.banger(*RUN).returncode == 8
        expected = set()  # it was not ready: it belonged to the request that died
    with timed_start():
        vms = healthy.vms()
    if expected:
        assert [vm["name"] for vm in vms] == ["box"]
        assert vms[0]["state"] in expected
        if vms[0]["state"] == "paused":
            healthy.succeed("vm", "resume", "box")
        healthy.succeed("vm", "start", "box")
    else:
        assert vms == []
        healthy.check_nothing_left()
        healthy.succeed(*RUN)
    assert healthy.succeed(*ALIVE) == b"alive\n"
    healthy.succeed("vm", "delete", "box")
    healthy.check_nothing_left()
    healthy.end()
