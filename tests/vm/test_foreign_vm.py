"""Guests of the architecture that this computer has not: the same commands, and everything emulated."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from tests.world import World

from banger.core.platforms import ARCHITECTURES, host_architecture, name_platform

pytestmark = [pytest.mark.vm, pytest.mark.timeout(900)]

FOREIGN = next(architecture for architecture in ARCHITECTURES if architecture != host_architecture())
PLATFORM = name_platform(FOREIGN)
PROGRAM = """
#include <stdio.h>
#include <sys/utsname.h>
#include <unistd.h>

int main(void) {
    struct utsname names;
    return uname(&names) != 0 || printf("%s %ld\\n", names.machine, sysconf(_SC_NPROCESSORS_ONLN)) < 0;
}
"""


def make_archive(directory: Path) -> Path:
    """A root file system of one static program, which says what it runs on."""
    source, program = directory / "machine.c", directory / "machine"
    source.write_text(PROGRAM)
    compiler = [sys.executable, "-m", "ziglang", "cc", f"--target={FOREIGN}-linux-musl", "-Os", "-static", "-s"]
    subprocess.run([*compiler, "-o", str(program), str(source)], check=True)
    with tarfile.open(directory / "rootfs.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        content = program.read_bytes()
        info = tarfile.TarInfo("bin/busybox")  # where one looks for what the programs of an archive are made for
        info.mode, info.size = 0o755, len(content)
        archive.addfile(info, io.BytesIO(content))
    return directory / "rootfs.tar"


def test_a_foreign_guest_boots_runs_commands_and_switches_itself_off(own_world: World, tmp_path: Path) -> None:
    world = own_world
    world.succeed("image", "import", str(make_archive(tmp_path)), "--name", "foreign")
    assert world.json("image", "list")["images"][0]["architecture"] == FOREIGN
    refused = world.banger("vm", "run", "--rm", "--image", "foreign", "--platform", host_architecture(), "--", "x")
    assert refused.returncode == 2
    assert f"the image foreign is for {PLATFORM}".encode() in refused.stderr
    started = world.banger(
        *("vm", "run", "-d", "--name", "box", "--image", "foreign", "--platform", PLATFORM, "--vcpu", "2")
    )
    assert started.returncode == 0, (started.stderr, world.log_tail())
    assert b"software emulation" in started.stderr
    assert f"the guest is made for {FOREIGN}, and this computer is {host_architecture()}".encode() in started.stderr
    assert world.succeed("vm", "exec", "box", "--", "/bin/busybox") == f"{FOREIGN} 2\n".encode()
    shown = world.json("vm", "show", "box")
    assert (shown["architecture"], shown["accelerator"]) == (FOREIGN, "QEMU with software emulation")
    world.succeed("vm", "stop", "box")
    stopped = world.json("vm", "show", "box")
    assert (stopped["state"], stopped["problem"]) == ("stopped", "")
    world.succeed("vm", "delete", "box")
