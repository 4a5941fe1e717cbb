"""A guest switches itself off when it is asked to, whatever it is doing at that moment."""

from __future__ import annotations

import json

from tests.world import World


def stop(world: World) -> None:
    """Stop `box`, which must not be a matter of force."""
    done = world.banger("vm", "stop", "box")
    assert (done.returncode, b"by force" in done.stderr) == (0, False), done.stderr
    assert "by force" not in world.log_tail()


def test_a_guest_that_has_only_just_begun_to_boot(world: World) -> None:
    world.succeed("vm", "run", "-d", "--no-workspace", "--name", "box")
    done = world.banger("vm", "health", "box", "--json")  # its ssh server may be there by now, and need not be
    checks = {check["name"]: check["state"] for check in json.loads(done.stdout)["outcomes"][0]["checks"]}
    assert (checks["disks"], checks["ssh"], done.returncode) in (("pass", "starting", 1), ("pass", "pass", 0))
    stop(world)


def test_a_guest_with_programs_that_do_not_want_to_end(world: World) -> None:
    world.succeed("vm", "run", "-d", "--no-workspace", "--name", "box")
    world.succeed("vm", "exec", "box", "--", "sh", "-c", "while ! test -S /run/systemd/private; do sleep 0.1; done")
    stubborn = "trap '' TERM HUP INT; (while :; do sleep 1; done) >/dev/null 2>&1 & setsid sleep 600 & exit 0"
    world.succeed("vm", "exec", "box", "--", "sh", "-c", stubborn)
    stop(world)
