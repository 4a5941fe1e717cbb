"""A computer on which a program does not work: the daemon starts all the same, so that the doctor can look."""

from __future__ import annotations

import json
from pathlib import Path

from tests.component.fake_world import FakeWorld


def test_without_a_working_ssh_keygen_only_vms_are_refused(world: FakeWorld, tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "ssh-keygen").write_text("#!/bin/sh\necho broken >&2\nexit 1\n")
    (programs / "ssh-keygen").chmod(0o755)
    path = world.environment["PATH"]
    world.environment["PATH"] = f"{programs}:{path}"
    world.start_daemon()
    done = world.banger("doctor", "--json")
    assert "daemon" not in [check["id"] for check in json.loads(done.stdout)["checks"]], "it could be asked"
    done = world.banger("vm", "run", "-d", "--no-workspace")
    assert done.returncode == 1
    assert b"ssh-keygen" in done.stderr
    assert b"openssh-client" in done.stderr
    world.check_nothing_left()
    (programs / "ssh-keygen").unlink()
    world.succeed("vm", "run", "-d", "--no-workspace", "--name", "box")
    world.succeed("vm", "delete", "box")
