"""Workspaces with a real machine, whose disk, kernel and git are not this computer's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.repositories import listed_tree, many_links, unusual_names
from tests.world import World, commit_all, git

pytestmark = [pytest.mark.vm, pytest.mark.timeout(600)]


def test_odd_names_and_links_arrive_and_what_changed_arrives_again(world: World, tmp_path: Path) -> None:
    path = tmp_path / "odd"
    unusual_names(path)
    many_links(tmp_path / "links")
    world.succeed("vm", "run", "-d", "--name", "box", str(path))
    world.succeed("vm", "workspace", "prepare", "box", str(tmp_path / "links"))
    for name in ("odd", "links"):
        world.succeed("vm", "cp", f"box:/root/{name}", f"{name}-1")
        assert listed_tree(world.root / f"{name}-1") == listed_tree(tmp_path / name)
    names = git(path, "ls-files", "-z", "names").split(b"\0")[:10]
    for changed in names:
        with open(os.fsencode(path) + b"/" + changed, "ab") as file:
            file.write(b"more\n")
    commit_all(path)
    result = world.json("vm", "workspace", "prepare", "box", str(path))
    assert (result["files"], result["created"]) == (10, False)
    assert result["size_bytes"] < 30_000
    world.succeed("vm", "kill", "box")
    world.succeed("vm", "start", "box")
    world.succeed("vm", "cp", "box:/root/odd", "odd-2")
    assert listed_tree(world.root / "odd-2") == listed_tree(path)
    assert world.succeed("vm", "exec", "box", "--cwd", "/root/odd", "--", "git", "status", "--porcelain") == b""
    head = world.succeed("vm", "exec", "box", "--cwd", "/root/odd", "--", "git", "rev-parse", "HEAD")
    assert head == git(path, "rev-parse", "HEAD")
