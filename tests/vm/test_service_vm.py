"""The unit that `banger system install` writes, under a real systemd: a guest's."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from tests.world import World

from banger.cli.service import UNIT, render_unit

pytestmark = [pytest.mark.vm, pytest.mark.timeout(600)]
STRANGE = "a b $HOME %h 'c' \"d\" \\e"


def test_a_real_systemd_runs_the_unit(world: World, tmp_path: Path) -> None:
    """Words arrive as they are, the log is where it should be, and what the daemon started outlives it."""
    script = 'printf "%s\\n" "$1" "$SAID"; sleep 1000 & echo $! >/root/child; wait'
    unit = tmp_path / UNIT
    unit.write_text(
        render_unit(
            argv=["/bin/sh", "-c", script, "daemon", STRANGE], environment={"SAID": STRANGE}, log=Path("/root/50% log")
        )
    )
    world.succeed("vm", "run", "-d", "--name", "box", "--no-workspace")

    def guest(line: str) -> str:
        return world.succeed("vm", "exec", "box", "--", "sh", "-c", line).decode()

    # The guest's first systemd, which reads units as a user's does; its image has no sessions, so no users' systemd.
    world.succeed("vm", "cp", str(unit), f"box:/etc/systemd/system/{UNIT}")
    guest("until systemctl is-active --quiet sysinit.target; do sleep 0.5; done")
    assert guest(f"systemd-analyze verify /etc/systemd/system/{UNIT} 2>&1 | grep -c {UNIT} || true") == "0\n"
    guest(f"systemctl daemon-reload; systemctl enable --now {UNIT}")
    while not guest("cat /root/child 2>/dev/null || true").strip():
        time.sleep(0.2)
    assert guest("cat '/root/50% log'").splitlines() == [STRANGE, STRANGE]
    assert guest(f"systemctl is-active {UNIT}; systemctl is-enabled {UNIT}") == "active\nenabled\n"
    guest(f"systemctl disable --now {UNIT}")
    assert guest('ps -o comm= -p "$(cat /root/child)"') == "sleep\n"
