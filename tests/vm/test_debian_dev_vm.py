"""What the image `debian-dev` promises: a part of `make test-images`, which boots it beside all others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.vm.test_saving_vm import make_saved_archive
from tests.world import World

pytestmark = [pytest.mark.images, pytest.mark.timeout(7200)]

TOOLS = """
set -e
cd /root
printf '#include <stdio.h>\\nint main(void) { puts("compiled"); }\\n' > a.c; cc a.c -o a; ./a
cmake --version | head -1; ninja --version; gdb --version | head -1
python3 -m venv venv && venv/bin/pip --version; pipx --version
node -p '6 * 7'; npm --version
cargo --version; go version; bundle --version; sqlite3 :memory: 'select 6 * 7'
! command -v mise || bash -lc 'mise --version'
"""


def ask(world: World, script: str, *, vm: str = "dev") -> list[str]:
    return world.succeed("vm", "exec", vm, "--", "sh", "-c", script, timeout_s=1200).decode().splitlines()


def test_containers_and_compilers_work(world: World, tmp_path: Path) -> None:
    """An image loaded from a file runs under Docker, also in a machine that was made of a saved one."""
    world.succeed("image", "pull", "debian-dev", timeout_s=3600)
    make_saved_archive(tmp_path / "box.tar")
    start = ("vm", "run", "-d", "--no-workspace", "--wait", "ssh", "--memory", "3G")
    world.succeed(*start, "--name", "dev", "--image", "debian-dev", timeout_s=600)
    tools = ask(world, TOOLS)
    assert "compiled" in tools
    assert tools.count("42") == 2
    world.succeed("vm", "cp", str(tmp_path / "box.tar"), "dev:/root/box.tar")
    assert ask(world, "docker load -i /root/box.tar")[-1] == "Loaded image: box:1"
    assert ask(world, "docker run --rm box:1")[-2:] == ["nothing", "hi"]
    # A container that stays, with a network of its own.
    ask(world, "docker run -d --name web --hostname web box:1 'hostname > /data/note; sleep 100000'")
    assert ask(world, "docker exec web cat /data/note /sys/class/net/eth0/operstate") == ["web", "up"]
    driver = "docker info --format '{{.Driver}} {{.CgroupVersion}} {{.SecurityOptions}}' 2>/dev/null"
    assert ask(world, driver)[0].startswith("overlay2 2 [name=apparmor")
    assert ask(world, "systemctl --failed --plain --no-legend") == []
    world.succeed("vm", "stop", "dev", timeout_s=300)
    name = json.loads(world.succeed("image", "save", "dev", "dev-with-box", "--json", timeout_s=3600))["name"]
    try:
        world.succeed(*start, "--name", "copy", "--image", name, timeout_s=900)
        assert ask(world, "docker start web >/dev/null; docker exec web cat /data/note", vm="copy") == ["web"]
        world.succeed("vm", "delete", "copy", "dev")
    finally:
        world.succeed("image", "delete", name)
