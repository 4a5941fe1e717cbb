"""A sample of the sweep in tests/component, with real machines."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.world import World

pytestmark = [pytest.mark.vm, pytest.mark.timeout(600)]


@pytest.mark.parametrize(
    "point", ["create.disk.after_act", "start.vmm.after_act", "start.guest.after_intent", "delete.processes.after_act"]
)
def test_a_daemon_killed_with_a_real_machine(tmp_path: Path, prepared_cache: Path, point: str) -> None:
    root = tmp_path / "w"
    root.mkdir()
    dying = World(root, cache=prepared_cache, extra={"BANGER_FAILPOINTS": f"{point}=kill"})
    healthy = World(root, cache=prepared_cache)
    assert dying.banger("vm", "run", "--rm", "--no-workspace", "--name", "box", "--", "true").returncode == 8
    assert healthy.vms() == []
    healthy.check_nothing_left()
    assert healthy.succeed("vm", "run", "--rm", "--no-workspace", "--name", "box", "--", "echo", "hi") == b"hi\n"
    healthy.check_nothing_left()
    healthy.end()
