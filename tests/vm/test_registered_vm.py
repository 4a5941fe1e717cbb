"""A file system image of the user's own in a real guest, where it lies and copied."""

from __future__ import annotations

import subprocess
import uuid
from pathlib import Path

import pytest
from tests.world import World

pytestmark = [pytest.mark.vm, pytest.mark.timeout(600)]


def test_an_ext4_image_boots_where_it_lies_and_promoted(world: World, tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "bin").mkdir(parents=True)
    busybox = next(path for path in (Path("/usr/bin/busybox"), Path("/bin/busybox")) if path.exists())
    (root / "bin" / "busybox").write_bytes(busybox.read_bytes())
    (root / "bin" / "busybox").chmod(0o755)
    for applet in ("sh", "cat", "grep"):
        (root / "bin" / applet).symlink_to("busybox")
    file = tmp_path / "rootfs.ext4"
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", root, file, "16M"], check=True)
    before = file.read_bytes()
    name = f"mine-{uuid.uuid4().hex[:8]}"
    run = ("vm", "run", "-q", "--rm", "--no-workspace", "--image", name, "--", "sh", "-c")
    world.succeed("image", "register", str(file), "--name", name, "-q")
    try:
        assert world.succeed(*run, "grep /image /proc/mounts; echo done > /x; cat /x").endswith(b"done\n")
        assert file.read_bytes() == before
        world.succeed("image", "promote", name, "-q")
        file.unlink()
        assert world.succeed(*run, "echo again") == b"again\n"
    finally:
        world.succeed("image", "delete", name)
