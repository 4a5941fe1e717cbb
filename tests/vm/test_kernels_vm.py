"""A kernel of the user's own in a real guest."""

from __future__ import annotations

import subprocess
import uuid
from pathlib import Path

import pytest
from tests.world import World

pytestmark = [pytest.mark.vm, pytest.mark.timeout(600)]


def test_a_kernel_made_of_files_boots_with_its_modules(world: World, tmp_path: Path) -> None:
    """Debian's, taken apart again: its modules are packed into an image in the store."""
    kernel = world.json("kernel", "show", "debian-cloud")
    stored = Path(
        world.environment["XDG_CACHE_HOME"], "banger", "kernels", "sha256", kernel["digest"].removeprefix("sha256:")
    )
    modules = tmp_path / "modules"
    subprocess.run(["fsck.erofs", f"--extract={modules}", stored / "modules.erofs"], check=True, capture_output=True)
    name = f"mine-{uuid.uuid4().hex[:8]}"
    imported = world.json("kernel", "import", str(stored / "vmlinuz"), "--name", name, "--modules", str(modules))
    try:
        assert (imported["release"], imported["architecture"]) == (kernel["release"], "x86_64")
        assert world.json("kernel", "show", name)["boot_modules"] == kernel["boot_modules"]
        script = "uname -r; modprobe dummy && lsmod | grep -c ^dummy"
        done = world.succeed("vm", "run", "-q", "--rm", "--no-workspace", "--kernel", name, "--", "sh", "-c", script)
        assert done.decode().split() == [kernel["release"], "1"]
    finally:
        world.succeed("kernel", "rm", name)
