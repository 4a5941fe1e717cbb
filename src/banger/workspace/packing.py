"""What goes into a guest: the tracked files as they are in the work tree, and a `.git` with enough history.

Objects are made in a repository of our own that borrows those of the user's: the configuration of the user's
repository, which could name filters to run, is never in force.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from banger.core.processes import CommandFailed
from banger.workspace.git import git
from banger.workspace.repository import Repository, plan_guest_path

HISTORY_DEPTH: Final = 50
HISTORY_LIMIT: Final = 20_000
BASE_REF: Final = "refs/banger/base"
DEFAULT_BRANCH: Final = "main"
_IDENTITY: Final = {
    "GIT_AUTHOR_NAME": "banger",
    "GIT_AUTHOR_EMAIL": "banger@localhost",
    "GIT_COMMITTER_NAME": "banger",
    "GIT_COMMITTER_EMAIL": "banger@localhost",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkspaceEntry:
    """One thing that appears in the workspace.

    `kind` is `file` (a host file at `name` below `root`), `memory` (with its `content`), `link` (with its target as
    content) or `directory`.
    """

    path: bytes
    kind: str
    mode: int
    mtime_ns: int
    content: bytes = b""
    root: Path | None = None
    name: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedWorkspace:
    """Ready to be sent. `base` is the commit of exactly these files, which an export is compared with."""

    guest_path: str
    head: str | None
    branch: str | None
    base: str
    entries: tuple[WorkspaceEntry, ...]
    total_bytes: int
    file_count: int


async def prepare(repository: Repository, scratch: Path) -> PackedWorkspace:
    """Pack a repository. The empty directory `scratch` takes work files and must live until the entries are sent."""
    own = _OwnRepository(repository, scratch)
    await own.make()
    base, tree_index = await own.commit_work_tree()
    await own.make_guest_index(tree_index)
    pack = await own.pack(base)
    files = await asyncio.to_thread(list_work_tree, repository)
    now_ns = time.time_ns()
    dot_git = plan_dot_git(repository, base=base, shallow=own.shallow, pack=pack, index=own.guest_index, now_ns=now_ns)
    entries = (*plan_directories(files, now_ns=now_ns), *files, *dot_git)
    return PackedWorkspace(
        guest_path=plan_guest_path(repository),
        head=repository.head,
        branch=repository.branch,
        base=base,
        entries=entries,
        total_bytes=await asyncio.to_thread(_total_bytes, entries),
        file_count=len(files),
    )


class _OwnRepository:
    """A bare repository in the scratch directory with the user's objects as alternates."""

    def __init__(self, repository: Repository, scratch: Path) -> None:
        self._repository = repository
        self._directory = scratch / "git"
        self._packs = scratch / "packs"
        self.guest_index = scratch / "index"
        self.shallow: tuple[str, ...] = ()

    async def make(self) -> None:
        directory = self._directory
        await git(
            [
                "init",
                "-q",
                "--bare",
                "--template=",
                f"--object-format={self._repository.object_format}",
                directory,
            ],
            cwd=directory.parent,
        )
        alternates = self._repository.common_directory / "objects"
        (self._directory / "objects" / "info").mkdir(exist_ok=True)
        # Quoted as git quotes: a path may hold anything.
        (self._directory / "objects" / "info" / "alternates").write_bytes(_c_quote(os.fsencode(alternates)) + b"\n")
        self._packs.mkdir()
        if self._repository.shallow:
            shutil.copyfile(self._repository.common_directory / "shallow", self._directory / "shallow")

    async def commit_work_tree(self) -> tuple[str, Path]:
        """A commit of the tracked files as they are now, and the index that matches them."""
        index = self._directory / "tree-index"
        source = self._repository.git_directory / "index"
        head = self._repository.head
        if source.exists() and not list(source.parent.glob("sharedindex.*")):
            await asyncio.to_thread(shutil.copyfile, source, index)
        elif head is not None:
            await self._git(["read-tree", head], index=index)
        await self._git(["add", "--update", "--", "."], index=index)
        tree = (await self._git(["write-tree"], index=index)).strip()
        if head is not None and tree == (await self._git(["rev-parse", f"{head}^{{tree}}"])).strip():
            return head, index
        parents = ["-p", head] if head is not None else []
        arguments = ["commit-tree", tree, *parents, "-m", "the work tree as it was copied into the machine"]
        return (await self._git(arguments, environment=_IDENTITY)).strip(), index

    async def make_guest_index(self, tree_index: Path) -> None:
        """The index that the guest begins with: HEAD's files, with times and sizes for those that are unmodified."""
        await asyncio.to_thread(shutil.copyfile, tree_index, self.guest_index)
        head = self._repository.head
        arguments = ["read-tree", "-m", head] if head is not None else ["read-tree", "--empty"]
        await self._git(arguments, index=self.guest_index)

    async def pack(self, base: str) -> Path:
        """One pack of everything that the base and the recent history need; its path without the suffix."""
        head = self._repository.head
        if head is not None:
            listed = await self._git(["rev-list", "--parents", f"--max-count={HISTORY_LIMIT}", head])
            self.shallow = plan_shallow(listed.splitlines(), depth=HISTORY_DEPTH)
            (self._directory / "shallow").write_text("".join(f"{commit}\n" for commit in self.shallow))
            if not self.shallow:
                (self._directory / "shallow").unlink()
        wanted = "\n".join(dict.fromkeys([*([head] if head else []), base])) + "\n"
        name = await self._git(
            [
                *("-c", "pack.compression=1", "-c", "pack.window=0", "-c", "pack.writeReverseIndex=false"),
                *("pack-objects", "-q", "--revs", "--delta-base-offset", self._packs / "pack"),
            ],
            stdin=wanted.encode(),
        )
        return self._packs / f"pack-{name.strip()}"

    async def _git(
        self,
        arguments: Sequence[str | Path],
        *,
        index: Path | None = None,
        stdin: bytes | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> str:
        own = {"GIT_DIR": str(self._directory), "GIT_WORK_TREE": os.fspath(self._repository.top), **(environment or {})}
        if index is not None:
            own["GIT_INDEX_FILE"] = os.fspath(index)
        try:
            done = await git(arguments, cwd=self._repository.top, environment=own, stdin=stdin, timeout_s=600.0)
        except CommandFailed as error:
            error.hint = "did the repository change meanwhile? `git status` and `git fsck` tell what is wrong with it"
            raise
        return done.stdout.decode("ascii", "replace")


def plan_shallow(listed: Iterable[str], *, depth: int) -> tuple[str, ...]:
    """Which commits the guest sees as having no parents: those at `depth`, and those whose parents are not listed.

    `listed` are lines `commit parent...`, newest first. Empty when the whole history is less deep.
    """
    parents = {commit: tuple(rest) for commit, *rest in (line.split() for line in listed if line.strip())}
    if not parents:
        return ()
    level = [next(iter(parents))]
    kept: dict[str, None] = {}
    for _ in range(depth):
        kept.update(dict.fromkeys(level))
        level = [p for commit in level for p in parents.get(commit, ()) if p not in kept]
        level = list(dict.fromkeys(level))
    return tuple(commit for commit in kept if any(parent not in kept for parent in parents.get(commit, ())))


def list_work_tree(repository: Repository) -> tuple[WorkspaceEntry, ...]:
    """The tracked files that are there, as they are there; what was deleted or replaced by a directory is left out."""
    found: list[WorkspaceEntry] = []
    top = os.fsencode(repository.top)
    for entry in repository.entries:
        try:
            status = os.lstat(os.path.join(top, entry.path))
            if stat.S_ISLNK(status.st_mode):
                content = os.readlink(os.path.join(top, entry.path))  # noqa: PTH115 - bytes
                kind, mode = "link", 0o777
            elif stat.S_ISREG(status.st_mode):
                content, kind = b"", "file"
                mode = 0o755 if status.st_mode & 0o100 else 0o644
            else:
                continue
        except OSError:
            continue
        found.append(
            WorkspaceEntry(
                path=entry.path,
                kind=kind,
                mode=mode,
                mtime_ns=status.st_mtime_ns,
                content=content,
                root=repository.top,
                name=entry.path,
            )
        )
    return tuple(found)


def plan_directories(files: Iterable[WorkspaceEntry], *, now_ns: int) -> tuple[WorkspaceEntry, ...]:
    """The directories above the files, each before what is in it."""
    wanted: dict[bytes, None] = {}
    for file in files:
        parts = file.path.split(b"/")[:-1]
        wanted.update(dict.fromkeys(b"/".join(parts[: end + 1]) for end in range(len(parts))))
    return tuple(
        WorkspaceEntry(path=path, kind="directory", mode=0o755, mtime_ns=now_ns) for path in sorted(wanted, key=_depth)
    )


def _depth(path: bytes) -> tuple[int, bytes]:
    return path.count(b"/"), path


def plan_dot_git(
    repository: Repository, *, base: str, shallow: Sequence[str], pack: Path, index: Path, now_ns: int
) -> tuple[WorkspaceEntry, ...]:
    """A complete `.git` for the guest, without hooks and without anything of the host's configuration but names."""
    branch = repository.branch or (None if repository.head else DEFAULT_BRANCH)
    head_line = f"ref: refs/heads/{branch}\n" if branch is not None else f"{repository.head}\n"
    refs = {BASE_REF: base}
    if branch is not None and repository.head is not None:
        refs[f"refs/heads/{branch}"] = repository.head
    packed_refs = "# pack-refs with: peeled fully-peeled sorted \n" + "".join(
        f"{commit} {ref}\n"
        for ref, commit in sorted(refs.items(), key=lambda item: item[0].encode("utf-8", "surrogateescape"))
    )
    texts = {
        b"HEAD": head_line,
        b"config": render_config(repository),
        b"packed-refs": packed_refs,
        b"description": "a banger workspace\n",
    }
    if shallow:
        texts[b"shallow"] = "".join(f"{commit}\n" for commit in shallow)
    directories = (b"", b"objects", b"objects/info", b"objects/pack", b"refs", b"refs/heads", b"refs/tags", b"info")
    entries = [
        WorkspaceEntry(path=b"/".join(filter(None, (b".git", path))), kind="directory", mode=0o755, mtime_ns=now_ns)
        for path in directories
    ]
    entries += [
        WorkspaceEntry(
            path=b".git/" + name,
            kind="memory",
            mode=0o644,
            mtime_ns=now_ns,
            content=text.encode("utf-8", "surrogateescape"),
        )
        for name, text in texts.items()
    ]
    for suffix in (".pack", ".idx"):
        name = os.fsencode(pack.name + suffix)
        entries.append(
            WorkspaceEntry(
                path=b".git/objects/pack/" + name, kind="file", mode=0o444, mtime_ns=now_ns, root=pack.parent, name=name
            )
        )
    entries.append(
        WorkspaceEntry(
            path=b".git/index",
            kind="file",
            mode=0o644,
            mtime_ns=now_ns,
            root=index.parent,
            name=os.fsencode(index.name),
        )
    )
    return tuple(entries)


def render_config(repository: Repository) -> str:
    """The guest's `.git/config` (git-config(1), "Syntax"). Only times and sizes say whether a file changed, because
    device and inode numbers are other ones in the guest.
    """
    sha256 = repository.object_format == "sha256"
    sections: list[tuple[str, list[tuple[str, str]]]] = [
        (
            "core",
            [
                ("repositoryformatversion", "1" if sha256 else "0"),
                ("filemode", "true"),
                ("bare", "false"),
                ("logallrefupdates", "true"),
                ("checkStat", "minimal"),
                ("trustctime", "false"),
            ],
        )
    ]
    if sha256:
        sections.append(("extensions", [("objectformat", "sha256")]))
    user = [(key, value) for key, value in (("name", repository.user_name), ("email", repository.user_email)) if value]
    if user:
        sections.append(("user", user))
    if repository.origin:
        remote = [("url", repository.origin), ("fetch", "+refs/heads/*:refs/remotes/origin/*")]
        sections.append(('remote "origin"', remote))
    return "".join(
        f"[{name}]\n" + "".join(f'\t{key} = "{_escape(value)}"\n' for key, value in values) for name, values in sections
    )


def _escape(value: str) -> str:
    return "".join(c for c in value if c.isprintable()).replace("\\", "\\\\").replace('"', '\\"')


def _c_quote(path: bytes) -> bytes:
    if not any(byte < 0x20 or byte in b'"\\' or byte == 0x7F for byte in path) and path[:1] != b'"':
        return path
    quoted = b"".join(
        b"\\%03o" % byte if byte < 0x20 or byte in b'"\\' or byte == 0x7F else bytes([byte]) for byte in path
    )
    return b'"' + quoted + b'"'


def _total_bytes(entries: Iterable[WorkspaceEntry]) -> int:
    total = 0
    for entry in entries:
        total += len(entry.content)
        if entry.kind == "file" and entry.root is not None:
            try:
                total += os.lstat(os.path.join(os.fsencode(entry.root), entry.name)).st_size
            except OSError:
                continue
    return total
