"""A guest without a machine: a packed workspace written into a directory, and programs that run there."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from banger.core.errors import NotFound
from banger.workspace.export import Ended
from banger.workspace.packing import PackedWorkspace, WorkspaceEntry, prepare
from banger.workspace.repository import inspect_repository

ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "LC_ALL": "C.UTF-8",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Test",
    "GIT_AUTHOR_EMAIL": "test@example.org",
    "GIT_COMMITTER_NAME": "Test",
    "GIT_COMMITTER_EMAIL": "test@example.org",
}


def git(directory: Path, *arguments: str | bytes, stdin: bytes | None = None, check: bool = True) -> bytes:
    """Run the plain git of this machine in a repository and return what it printed."""
    done = subprocess.run(
        ["git", *arguments], cwd=directory, env=ENVIRONMENT, input=stdin, capture_output=True, check=False
    )
    assert done.returncode == 0 or not check, done.stderr
    return done.stdout


def write(path: Path | bytes, content: bytes | str, *, executable: bool = False) -> None:
    name = os.fsencode(path)
    os.makedirs(os.path.dirname(name), exist_ok=True)
    with open(name, "wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
    os.chmod(name, 0o755 if executable else 0o644)


def commit_all(directory: Path, message: str = "a commit") -> str:
    git(directory, "add", "--all")
    git(directory, "commit", "-q", "--allow-empty", "-m", message)
    return git(directory, "rev-parse", "HEAD").decode().strip()


def materialise(entries: Sequence[WorkspaceEntry], directory: Path) -> None:
    """Write the entries as an agent does: every directory before what is in it, times last."""
    top = os.fsencode(directory)
    os.makedirs(top)
    for entry in entries:
        path = os.path.join(top, entry.path)
        if entry.kind == "directory":
            os.mkdir(path, entry.mode)
        elif entry.kind == "link":
            os.symlink(entry.content, path)
        else:
            content = entry.content
            if entry.kind == "file":
                assert entry.root is not None
                with open(os.path.join(os.fsencode(entry.root), entry.name), "rb") as source:
                    content = source.read()
            assert len(content) == entry.size
            with open(path, "xb") as file:
                file.write(content)
            os.chmod(path, entry.mode)
        if entry.kind != "directory":
            os.utime(path, ns=(entry.mtime_ns, entry.mtime_ns), follow_symlinks=False)


@dataclass(slots=True)
class LocalProgram:
    """A program of this machine, as an export sees one in a guest."""

    process: asyncio.subprocess.Process
    stderr: bytearray = field(default_factory=bytearray)

    async def output(self) -> AsyncIterator[bytes]:
        assert self.process.stdout is not None
        while data := await self.process.stdout.read(65536):
            yield data

    async def ended(self) -> Ended:
        assert self.process.stderr is not None
        stderr = await self.process.stderr.read()
        return Ended(await self.process.wait(), stderr[:4096])


class LocalGuest:
    """Runs the programs of an export here, below `root`."""

    def __init__(self, root: Path, *, path: str = os.environ["PATH"]) -> None:
        self.root = root
        self.path = path

    @asynccontextmanager
    async def program(
        self, argv: Sequence[str], *, cwd: str, environment: Mapping[str, str]
    ) -> AsyncIterator[LocalProgram]:
        if shutil.which(argv[0], path=self.path) is None:
            raise NotFound(f"there is no {argv[0]}")
        process = await asyncio.create_subprocess_exec(
            *argv,
            cwd=str(self.root) + cwd,
            env={"PATH": self.path, "HOME": str(self.root), **environment},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        try:
            yield LocalProgram(process)
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                assert process.stdout is not None
                while await process.stdout.read(65536):
                    pass
                await process.wait()


@dataclass(slots=True)
class Travel:
    """A repository and its copy in a guest."""

    repository: Path
    root: Path
    packed: PackedWorkspace

    @property
    def copy(self) -> Path:
        return Path(str(self.root) + self.packed.guest_path)

    @property
    def guest(self) -> LocalGuest:
        return LocalGuest(self.root)


async def travel(repository: Path, scratch: Path) -> Travel:
    """Pack a repository and unpack it again."""
    (scratch / "work").mkdir(parents=True)
    packed = await prepare(await inspect_repository(repository), scratch / "work")
    root = scratch / "guest"
    materialise(packed.entries, Path(str(root) + packed.guest_path))
    return Travel(repository, root, packed)


def tree_of(directory: Path) -> dict[bytes, tuple[str, bytes]]:
    """Every file and link that git does not ignore, with its kind and content."""
    listed = git(directory, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    found: dict[bytes, tuple[str, bytes]] = {}
    for name in set(listed.split(b"\0")[:-1]):
        path = os.path.join(os.fsencode(directory), name)
        if os.path.islink(path):
            found[name] = ("link", os.readlink(path))
        elif os.path.isfile(path):
            with open(path, "rb") as file:
                found[name] = ("executable" if os.access(path, os.X_OK) else "file", file.read())
    return found
