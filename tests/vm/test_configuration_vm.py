"""What the configuration file says, in a real guest."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.world import World

pytestmark = [pytest.mark.vm, pytest.mark.timeout(600)]


def test_defaults_and_files_of_the_users(world: World, repository: Path) -> None:
    file = world.root / "config" / "banger" / "config.toml"
    file.parent.mkdir(mode=0o700, parents=True)
    (world.root / ".gitconfig").write_text("[user]\n\tname = Somebody Else\n")
    (world.root / "tools" / "deep").mkdir(parents=True)
    (world.root / "tools" / "deep" / "hello").write_text("#!/bin/sh\necho hello\n")
    (world.root / "tools" / "deep" / "hello").chmod(0o755)
    file.write_text(
        """
        [vm_defaults]
        vcpu = 1
        memory = "384M"
        [[file_sync]]
        host = "~/.gitconfig"
        guest = "~/.gitconfig"
        [[file_sync]]
        host = "~/tools"
        guest = "/root/.local/tools"
        """
    )
    script = (
        "nproc; git config --global user.name; stat -c '%a %U' ~/.gitconfig ~/.local ~/.local/tools/deep/hello;"
        " ~/.local/tools/deep/hello"
    )
    done = world.banger("vm", "run", "--name", "box", ".", "--", "sh", "-c", script, cwd=repository)
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode().splitlines() == [
        "1",
        "Somebody Else",
        "600 root",
        "755 root",
        "755 root",
        "hello",
    ]
    (world.root / ".gitconfig").write_text("[user]\n\tname = Another One\n")
    world.succeed("vm", "restart", "box")
    assert world.succeed("vm", "exec", "box", "--", "git", "config", "--global", "user.name") == b"Another One\n"
    vm = world.json("vm", "show", "box")
    assert (vm["memory_mib"], vm["origins"]["memory_mib"]) == (384, "config")
