"""A world in which examples and pages are tried: `banger` is a program, and there is a project to use it on."""

from __future__ import annotations

import gzip
import lzma
import os
import subprocess
import sys
import tarfile
from pathlib import Path

from tests.unit.kernel.kernels import CONFIG, bzimage, modules
from tests.world import REPOSITORY, World, commit_all, git


class ExampleWorld(World):
    """A world in which `banger` is a program, and starts the daemon of the tests."""

    def __init__(self, root: Path, *, cache: Path) -> None:
        programs = root / "bin"
        super().__init__(
            root,
            cache=cache,
            extra={
                "PATH": f"{programs}:{os.environ['PATH']}",
                "PYTHONPATH": str(REPOSITORY),
                "BANGER_FAKE_VMM": f"apart:{root}/guest",
                "EDITOR": "true",
                "SHELL": "/bin/bash",
                "TERM": "xterm",
            },
        )
        programs.mkdir(parents=True)
        start = f"[{sys.executable!r}, '-m', 'tests.fakes.machineless']"
        (programs / "banger").write_text(
            f"#!{sys.executable}\nimport sys\nfrom banger.cli.main import main\n"
            f"sys.exit(main(sys.argv[1:], daemon_argv={start}))\n"
        )
        (programs / "banger").chmod(0o755)
        (programs / "docker").write_text("#!/bin/sh\nexec cat >/dev/null\n")
        (programs / "docker").chmod(0o755)

    @property
    def command(self) -> list[str]:
        return [str(self.root / "bin" / "banger")]

    def daemon_pid(self) -> int | None:
        return next((pid for pid, command in self.processes() if b"tests.fakes.machineless" in command), None)


def make_project(path: Path) -> Path:
    """A project with everything that an example names, and four commits; beside it a repository named `other`."""
    other = path.parent / "other"
    other.mkdir(parents=True)
    git(other, "init", "-q", "-b", "main")
    (other / "README").write_text("another one\n")
    commit_all(other)
    for directory in ("src", "build", "assets"):
        (path / directory).mkdir(parents=True)
    git(path, "init", "-q", "-b", "main")
    git(path, "config", "user.name", "Somebody")
    git(path, "config", "user.email", "somebody@example.org")
    (path / "Makefile").write_text("test:\n\t@echo tested\n")
    for number, name in enumerate(("src/main.c", "build/app", "assets/logo.svg", "notes.txt")):
        (path / name).write_text(f"{number}\n")
        commit_all(path, name)
    (path / "draft.toml").write_text("")
    (path / "tools.toml").write_text('base = "fake"\ncommands = ["echo done"]\n')
    with tarfile.open(path / "rootfs.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo("etc"))
    (path / "app.tar.gz").write_bytes(gzip.compress((path / "rootfs.tar").read_bytes()))
    (path / "rootfs.ext4").write_bytes(bytes(1080) + b"\x53\xef" + bytes(3000))
    (path / "bzImage").write_bytes(bzimage(release="6.1.0"))
    (path / ".config").write_text(CONFIG)
    for name, content in modules("modules/lib/modules/6.1.0/", release="6.1.0").items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    (path / "layout").mkdir()
    (path / "layout" / "oci-layout").write_text("{}")
    (path / "rootfs.tar.xz").write_bytes(lzma.compress((path / "rootfs.tar").read_bytes()))
    return path


def shell(world: ExampleWorld, line: str, cwd: Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; {line}"],
        cwd=cwd,
        env=world.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=120,
        check=False,
    )
