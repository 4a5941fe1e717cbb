"""What the command line says is in a machine survives the machine's sudden end."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from tests.world import World, commit_all


def test_a_workspace_survives_a_vmm_that_is_killed_at_once(world: World, repository: Path) -> None:
    content = os.urandom(3_000_000)
    (repository / "large.bin").write_bytes(content)
    commit_all(repository, "third")
    world.succeed("vm", "run", "-d", "--name", "box", str(repository))
    world.succeed("vm", "kill", "box")
    world.succeed("vm", "start", "box")
    assert world.succeed("vm", "exec", "box", "--", "git", "status", "--porcelain") == b""
    assert world.succeed("vm", "exec", "box", "--", "git", "fsck", "--full", "--no-dangling") == b""
    told = world.succeed("vm", "exec", "box", "--", "sha256sum", "large.bin").split()[0]
    assert told.decode() == hashlib.sha256(content).hexdigest()
