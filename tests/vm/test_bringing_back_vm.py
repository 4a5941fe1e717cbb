"""Work in a real guest comes back: two hundred random edits as files, its commits as a branch."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.round_trips import EditScript, make_repository
from tests.world import World, git

pytestmark = [pytest.mark.vm, pytest.mark.timeout(600)]

TREE = "export GIT_INDEX_FILE=/tmp/index; git read-tree HEAD; git add -A; git write-tree"


def test_two_hundred_edits_come_back(world: World, tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    make_repository(repository, "names", seed=1)
    script = EditScript(repository, seed=1).write(200)
    world.succeed("vm", "run", "-q", "-d", "--name", "box", ".", cwd=repository)
    world.succeed("vm", "exec", "box", "--", "sh", stdin=script.encode())
    in_guest = world.succeed("vm", "exec", "box", "--", "sh", "-ec", TREE)
    assert world.json("vm", "workspace", "status", "box")["file_count"] > 50
    done = world.banger("vm", "workspace", "apply", "box", "--yes", cwd=repository)
    assert done.returncode == 0, (done.stderr, world.log_tail())
    assert b"Worth a look" in done.stderr
    os.environ["GIT_INDEX_FILE"] = str(tmp_path / "index")
    try:
        git(repository, "read-tree", "HEAD")
        git(repository, "add", "-A")
        assert git(repository, "write-tree") == in_guest
    finally:
        del os.environ["GIT_INDEX_FILE"]
    world.succeed("vm", "workspace", "fetch", "box", cwd=repository)
    (head,) = world.succeed("vm", "exec", "box", "--", "git", "rev-parse", "HEAD").split()
    assert head in git(repository, "for-each-ref", "--format=%(objectname)", "refs/heads/banger/box/").split()
    git(repository, "fsck", "--strict")
