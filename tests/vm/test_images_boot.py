"""Images as a guest's kernel sees them."""

from __future__ import annotations

import hashlib
import io
import stat
import tarfile
import time
from pathlib import Path

import pytest
from tests.world import World

from banger.core.platforms import host_architecture
from banger.image.recipe import IMAGES, all_packages, masked_units

pytestmark = [pytest.mark.vm, pytest.mark.timeout(600)]

TIME = 1_600_000_000
CONTENTS = {
    "data/empty": 0,
    "data/small": 100,
    "data/inline": 1900,
    "data/block": 4096,
    "data/more": 5000,
    "big": 2_500_001,
}


def make_archive(path: Path) -> None:
    """A root file system with a shell and one of everything."""
    busybox = next(found for found in (Path("/usr/bin/busybox"), Path("/bin/busybox")) if found.exists())
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:

        def add(name: str, content: bytes | None = None, **fields: object) -> None:
            info = tarfile.TarInfo(name)
            info.mode = 0o755
            for field, value in fields.items():
                setattr(info, field, value)
            info.size = len(content or b"")
            archive.addfile(info, io.BytesIO(content) if content is not None else None)

        add("bin/busybox", busybox.read_bytes())
        for applet in ("sh", "stat", "cat", "ls", "sha256sum", "readlink", "find", "wc"):
            add(f"bin/{applet}", type=tarfile.SYMTYPE, linkname="busybox")
        for name in CONTENTS:
            add(name, fill(name), mode=0o640, mtime=TIME)
        add("second", type=tarfile.LNKTYPE, linkname="big")
        add("setuid", b"x", mode=0o6751, uid=12_345, gid=70_000)
        add("sticky", type=tarfile.DIRTYPE, mode=0o1777)
        add("null", type=tarfile.CHRTYPE, devmajor=1, devminor=3, mode=0o666)
        add("fifo", type=tarfile.FIFOTYPE, mode=0o600)
        add("long", type=tarfile.SYMTYPE, linkname="x/" * 1500)
        add("odd \udcff\n name", b"odd")
        for number in range(1200):
            add(f"many/{number:05d}-{'n' * 120}", b"%d" % number)


SCRIPT = """
cd /
stat -c '%n|%f|%u|%g|%s|%h|%t:%T|%Y' big second setuid null fifo data/*
stat -c '%n|%f' sticky
cat big second data/* | sha256sum
readlink long | wc -c
find many -type f | wc -l
cat many/00777-*; echo
cat odd*; echo
echo written > data/small; cat data/small
"""


def test_an_imported_image_is_what_was_archived(own_world: World, tmp_path: Path) -> None:
    make_archive(tmp_path / "rootfs.tar")
    own_world.succeed("image", "import", str(tmp_path / "rootfs.tar"), "--name", "mine")
    printed = own_world.succeed("vm", "run", "--rm", "--image", "mine", "--", "sh", "-c", SCRIPT)
    names = sorted(name for name in CONTENTS if name != "big")
    regular = stat.S_IFREG

    def describe(name: str) -> str:
        links = 2 if name in ("big", "second") else 1
        return f"{name}|{regular | 0o640:x}|0|0|{len(fill(name))}|{links}|0:0|{TIME}"

    digest = hashlib.sha256(b"".join(fill(name) for name in ("big", "second", *names))).hexdigest()
    assert printed.decode().splitlines() == [
        describe("big"),
        describe("second"),
        f"setuid|{regular | 0o6751:x}|12345|70000|1|1|0:0|0",
        f"null|{stat.S_IFCHR | 0o666:x}|0|0|0|1|1:3|0",
        f"fifo|{stat.S_IFIFO | 0o600:x}|0|0|0|1|0:0|0",
        *(describe(name) for name in names),
        f"sticky|{stat.S_IFDIR | 0o1777:x}",
        f"{digest}  -",
        "3001",  # with the line end that readlink adds
        "1200",
        "777",
        "odd",
        "written",
    ]


def test_the_default_image_is_what_its_page_says(world: World) -> None:
    """One machine, many questions: what is installed, what runs, and what of the build must not be there."""
    world.succeed("vm", "run", "-d", "--name", "look")

    def ask(script: str) -> list[str]:
        return world.succeed("vm", "exec", "look", "--", "sh", "-c", script, timeout_s=120).decode().splitlines()

    packages = all_packages(IMAGES[host_architecture()])
    asked = " ".join(packages)
    assert ask(f"dpkg-query -W -f '${{db:Status-Abbrev}}' {asked}; echo") == ["ii " * len(packages)]
    ask("for i in $(seq 120); do test -S /run/systemd/private && break; sleep 0.5; done")
    assert ask("cat /proc/1/comm") == ["systemd"]
    state = ask("timeout 90 systemctl is-system-running --wait; systemctl --failed --plain --no-legend")
    assert state == ["running"]
    masked = ask(f"systemctl is-enabled {' '.join(masked_units(IMAGES[host_architecture()]))} 2>&1 || true")
    assert set(masked) == {"masked"}
    assert ask("systemctl is-active systemd-logind || true") == ["inactive"]
    assert ask("ls /etc/ssh/ssh_host_rsa_key /etc/apt/apt.conf.d/99mmdebstrap 2>/dev/null || true") == []
    assert ask("grep -c . /etc/machine-id") == ["1"]
    assert ask("cut -d: -f2 /etc/shadow | sort -u | grep -vx '[*!]*' || true") == []
    assert ask(
        "grep -h ^deb /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | cut -d' ' -f3 | sort -u"
    ) == [
        "http://deb.debian.org/debian",
        "http://deb.debian.org/debian-security",
    ]
    assert ask("find /var/cache/apt/archives /var/lib/apt/lists -type f") == []
    assert ask("modinfo -F filename loop") == ask("echo /lib/modules/$(uname -r)/kernel/drivers/block/loop.ko")
    assert ask(". /etc/default/locale; echo $LANG") == ["C.UTF-8"]
    # Whoever switches it off from inside is told nothing that he could worry about. It may be off before it has answered.
    off = world.banger("vm", "exec", "look", "--", "systemctl", "poweroff")
    assert off.returncode == 0 or b"guest" in off.stderr, off
    assert b"login1" not in off.stdout + off.stderr
    deadline = time.monotonic() + 120
    while world.json("vm", "show", "look")["state"] != "stopped":
        assert time.monotonic() < deadline
        time.sleep(0.2)
    world.succeed("vm", "delete", "look")


def fill(name: str) -> bytes:
    """Content that is different for each file and block."""
    size = CONTENTS[name if name != "second" else "big"]
    return b"".join(b"%08d" % number for number in range(size // 8 + 1))[:size]
