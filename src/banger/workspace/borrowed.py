"""A repository of our own that borrows the objects of the user's.

The configuration of the user's repository, which could name filters to run, does not apply here, and nothing is
written into the user's repository.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from banger.core.errors import Invalid
from banger.core.processes import CommandFailed
from banger.core.untrusted import printable
from banger.workspace.git import git
from banger.workspace.guest_git import Ref, Sections, format_sections, render_config
from banger.workspace.history import Cut, History, cut_history, parse_history
from banger.workspace.index import IndexEntry, read_index, write_index
from banger.workspace.known import Known
from banger.workspace.paths import can_be_tracked
from banger.workspace.quoting import quote
from banger.workspace.repository import Repository, has_submodule
from banger.workspace.work_tree import read_below, read_small_file

HISTORY_DEPTHS: Final = (50, 10, 1)
HISTORY_LIMIT: Final = 5_000
KEPT_COMMITS: Final = 1_000
INDEX_LIMIT_BYTES: Final = 1 << 30
SMALL_FILE_LIMIT_BYTES: Final = 1 << 20
GITLINK: Final = 0o160000
TRACKED_MODES: Final = (0o100644, 0o100755, 0o120000)
GIT_DEADLINE_S: Final = 600.0
_PACK: Final[tuple[str | Path, ...]] = ("pack-objects", "-q", "--revs", "--delta-base-offset")
_IDENTITY: Final = {
    "GIT_AUTHOR_NAME": "banger",
    "GIT_AUTHOR_EMAIL": "banger@localhost",
    "GIT_COMMITTER_NAME": "banger",
    "GIT_COMMITTER_EMAIL": "banger@localhost",
}


class BorrowedRepository:
    """Git directory in a scratch directory, objects as alternates, the user's files as work tree."""

    def __init__(self, repository: Repository, scratch: Path) -> None:
        self._repository = repository
        self._directory = scratch / "git"
        self._packs = scratch / "packs"
        self._index = self._directory / "index"
        self._tree_index = self._directory / "tree-index"
        self.tree = repository.top if repository.choice.start is None else scratch / "tree"
        self.tree_id = ""  # of the base, when it was made
        self._gitlinks: tuple[IndexEntry, ...] = ()
        self._lent_shallow: tuple[str, ...] = ()
        self._history: History | None = None

    def make(self) -> None:
        """Write the directory; blocking. The index is a copy, and so as old as the original: by that git tells
        whether a file may have changed in the same moment.
        """
        repository = self._repository
        for name in ("objects/info", "refs", "info"):
            (self._directory / name).mkdir(parents=True)
        self._packs.mkdir()
        lent = os.fsencode(repository.common_directory / "objects")
        # A line that does not begin with quotes is taken as it is, and as a comment when it begins with a hash sign.
        (self._directory / "objects/info/alternates").write_bytes(quote(lent, quote_path=False) + b"\n")
        (self._directory / "HEAD").write_text("ref: refs/heads/none\n")
        (self._directory / "config").write_text(render_config(_plan_settings(repository)))
        attributes = read_info(repository, "attributes")
        if attributes is not None:
            (self._directory / "info/attributes").write_bytes(attributes)
        shallow = read_small_file(repository.common_directory / "shallow", limit_bytes=INDEX_LIMIT_BYTES)
        if repository.shallow and shallow is not None:
            self._lent_shallow = tuple(shallow[0].decode("ascii", "replace").split())
        self._write_shallow(())
        if repository.choice.start is not None:
            self.tree.mkdir()
            return
        for index in (repository.git_directory / "index", *repository.git_directory.glob("sharedindex.*")):
            _copy_with_time(index, self._directory / index.name)

    async def read_staged(self) -> list[IndexEntry]:
        """The index as it is staged, with what git sees of files whose content is the staged one.

        The copy is then ready for `commit_work_tree`: git looks at every file of it, and at no submodule. Where the
        files are those of a commit, they are made first.
        """
        if self._repository.choice.start is not None:
            await self._check_out()
        arguments = ["update-index", "-q", "--really-refresh", "--index-version", "2"]
        await self._git(arguments, accepted=(0, 1))
        entries = await asyncio.to_thread(self._read_index, self._index)
        if any(entry.intent_to_add for entry in entries):
            await self._git(["hash-object", "-w", "-t", "blob", "--stdin"], stdin=b"")
        heads = {submodule.path: submodule.head for submodule in self._repository.submodules}
        self._gitlinks = tuple(
            entry._replace(oid=bytes.fromhex(heads.get(entry.path) or entry.oid.hex()))
            for entry in entries
            if entry.mode == GITLINK
        )
        if any(entry.hidden or entry.intent_to_add or entry.mode == GITLINK for entry in entries):
            await asyncio.to_thread(self._unhide, entries)
        return entries

    async def commit_work_tree(self) -> tuple[str, list[IndexEntry]]:
        """A commit of the tracked files as they are now, and its entries.

        It is HEAD itself if nothing has changed. Call `read_staged` first.
        """
        if self._index.exists():
            await asyncio.to_thread(_copy_with_time, self._index, self._tree_index)
            await self._stage_work_tree()
        await self._stage_more()
        (tree, entries), history = await asyncio.gather(self._write_tree(), self._read_history())
        self.tree_id = tree
        head = self._repository.head
        if head is not None and history is not None and history.tree == tree:
            return head, entries
        parents = ["-p", head] if head is not None else []
        message = "the files as they were copied into the machine"
        return (await self._git(["commit-tree", tree, *parents, "-m", message], environment=_IDENTITY)).strip(), entries

    async def pack(self, base: str, *, staged: Iterable[bytes], budget_bytes: int) -> tuple[Path, tuple[str, ...]]:
        """One pack with the base, the staged objects and some history, and the commits where that history ends.

        History gets shorter until it fits the budget, or until no object is missing (a partial clone has no old
        content); the newest commit is always whole. The path has no suffix.
        """
        if self._repository.choice.mode == "full-copy":
            tips = [ref.oid for ref in await self.read_refs()]
            wanted = dict.fromkeys([*self._tips(base), *map(bytes.hex, staged), *tips])
            stdin = "".join(f"{oid}\n" for oid in wanted).encode()
            name = await self._git([*_PACK, self._packs / "pack"], stdin=stdin)
            return self._packs / f"pack-{name.strip()}", self._lent_shallow
        history = await self._read_history()
        path, cut = await self._pack(base, staged, history, budget_bytes=budget_bytes)
        assert path is not None
        return path, self._ends(cut)

    async def read_refs(self) -> tuple[Ref, ...]:
        """The user's branches and tags, for a full copy; none for other modes."""
        if self._repository.choice.mode != "full-copy":
            return ()
        listing = ["for-each-ref", "--format=%(objectname) %(*objectname) %(refname)", "refs/heads", "refs/tags"]
        listed = (await git(listing, cwd=self._repository.top, timeout_s=GIT_DEADLINE_S)).stdout
        rows = (line.split(" ", 2) for line in listed.decode("utf-8", "surrogateescape").split("\n") if line)
        return tuple(Ref(name, oid, peeled) for oid, peeled, name in rows)

    def _tips(self, base: str) -> list[str]:
        head = self._repository.head
        return [*([head] if head else []), base]

    async def pack_since(
        self, base: str, *, staged: Iterable[bytes], known: Known, budget_bytes: int
    ) -> tuple[Path | None, tuple[str, ...]]:
        """The same for a guest that has some of it already; None if it has everything."""
        tree_index = self._directory / "known-index"
        index = write_index(known.files.values(), object_format=known.object_format)
        await asyncio.to_thread(tree_index.write_bytes, index)
        has = [(await self._git(["write-tree", "--missing-ok"], index=tree_index)).strip()]
        there: frozenset[str] = frozenset()
        if known.head is not None and await self.has_commit(known.head):
            self._write_shallow(known.shallow)
            has.append(known.head)
            there = frozenset((await self._git(["rev-list", f"--max-count={HISTORY_LIMIT}", known.head])).split())
        history = await self._list_history(*(f"^{commit}" for commit in has[1:]))
        path, cut = await self._pack(
            base, staged, history, budget_bytes=budget_bytes, has=has, there=there, shallow=known.shallow
        )
        return path, tuple(dict.fromkeys((*known.shallow, *self._ends(cut))))

    async def write_tree_of(self, entries: Iterable[IndexEntry]) -> str:
        """The tree that an index with these entries would be committed as."""
        index = self._directory / "planned-index"
        data = write_index(entries, object_format=self._repository.object_format)
        await asyncio.to_thread(index.write_bytes, data)
        return (await self._git(["write-tree"], index=index)).strip()

    async def has_commit(self, commit: str) -> bool:
        """Whether the user's repository has a commit."""
        try:
            await self._git(["cat-file", "-e", f"{commit}^{{commit}}"])
        except CommandFailed:
            return False
        return True

    def _ends(self, cut: Cut) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*cut.ends, *(commit for commit in self._lent_shallow if commit in cut.kept))))

    async def _pack(
        self,
        base: str,
        staged: Iterable[bytes],
        history: History | None,
        *,
        budget_bytes: int,
        has: Sequence[str] = (),
        there: Collection[str] = (),
        shallow: Sequence[str] = (),
    ) -> tuple[Path | None, Cut]:
        wanted = dict.fromkeys([*self._tips(base), *map(bytes.hex, staged)])
        arguments = [*_PACK, *(["--non-empty"] if has else []), self._packs / "pack"]
        stdin = "".join(f"{oid}\n" for oid in (*wanted, *(f"^{oid}" for oid in has))).encode()
        for depth in HISTORY_DEPTHS:
            is_last = depth == HISTORY_DEPTHS[-1]
            cut = cut_history(history, depth=depth, limit=KEPT_COMMITS, there=there) if history is not None else Cut()
            self._write_shallow((*shallow, *cut.ends))
            if not is_last and not await self._fits(base, has, budget_bytes):
                continue
            try:
                name = (await self._git(arguments, stdin=stdin)).strip()
            except CommandFailed:
                if is_last:
                    raise
                continue
            return self._packs / f"pack-{name}" if name else None, cut
        raise AssertionError("the last depth returns or raises")

    async def read_content(self, base: str, path: bytes) -> bytes:
        """A file of the base as it would be checked out. Raises `Failed` if it is missing or too large."""
        done = await git(
            ["cat-file", "--filters", f"{base}:{os.fsdecode(path)}"],
            cwd=self.tree,
            environment=self._environment(self._index),
            timeout_s=GIT_DEADLINE_S,
        )
        return done.stdout

    async def list_changes(self) -> list[bytes]:
        """Paths whose tracked content is not that of HEAD, staged or not. Call `read_staged` first."""
        if self._repository.head is None:
            listed = await self.run(["ls-files", "-z"], index=self._index)
        else:
            options = ["--name-only", "-z", "--no-renames", "--ignore-submodules=all"]
            listed = await self.run(["diff-index", *options, self._repository.head, "--"], index=self._index)
        return listed.split(b"\0")[:-1]

    async def run(
        self,
        arguments: Sequence[str | Path],
        *,
        index: Path,
        stdin: bytes | None = None,
        accepted: Sequence[int] = (0,),
    ) -> bytes:
        """Run git on the user's files with an index of the caller's. Raises as `banger.workspace.git.git` does."""
        done = await git(
            arguments,
            cwd=self._repository.top,
            environment=self._environment(index),
            stdin=stdin,
            accepted=accepted,
            timeout_s=GIT_DEADLINE_S,
        )
        return done.stdout

    async def _stage_work_tree(self) -> None:
        try:
            await self._git(["add", "--update", "--", "."], index=self._tree_index)
        except CommandFailed as error:
            said = error.completed.stderr.splitlines() or [b""]
            raise Invalid(
                f"git cannot read the tracked files: {printable(said[0].removeprefix(b'error: '), limit=300)}",
                hint="`git status` says which file is not readable, or has become something else",
            ) from error

    async def _stage_more(self) -> None:
        """Stage untracked files that are copied too, and the submodules as they are here."""
        index = self._tree_index
        if self._repository.untracked:
            paths = b"".join(path + b"\0" for path in self._repository.untracked)
            try:
                await self._git(["update-index", "--add", "--remove", "-z", "--stdin"], index=index, stdin=paths)
            except CommandFailed as error:
                said = error.completed.stderr.splitlines() or [b""]
                raise Invalid(
                    f"git cannot read the untracked files: {printable(said[0].removeprefix(b'error: '), limit=300)}",
                    hint="fix its permissions, or add it to .gitignore",
                ) from error
        if self._gitlinks:
            lines = b"".join(b"160000 %s\t%s\0" % (link.oid.hex().encode(), link.path) for link in self._gitlinks)
            await self._git(["update-index", "-z", "--index-info"], index=index, stdin=lines)

    async def _check_out(self) -> None:
        """Check out the files of the commit, with the repository's line ends but without its filters."""
        head = self._repository.head
        assert head is not None
        await self._git(["read-tree", head])
        await asyncio.to_thread(self._read_index, self._index)  # no name outside of the tree, and no submodule
        await self._git(["checkout-index", "--all", "--quiet", "--index"])

    async def _write_tree(self) -> tuple[str, list[IndexEntry]]:
        tree = await self._git(["write-tree"], index=self._tree_index)
        return tree.strip(), await asyncio.to_thread(self._read_index, self._tree_index)

    async def _read_history(self) -> History | None:
        if self._history is None:
            self._history = await self._list_history()
        return self._history

    async def _list_history(self, *without: str) -> History | None:
        """The newest ancestors of HEAD, without those of `without`."""
        head = self._repository.head
        if head is None:
            return None
        listed = ["rev-list", "--no-commit-header", "--format=%H %T %P", f"--max-count={HISTORY_LIMIT}", head, *without]
        return parse_history((await self._git(listed)).splitlines())

    async def _fits(self, base: str, has: Sequence[str], budget_bytes: int) -> bool:
        try:
            used = await self._git(["rev-list", "--objects", "--disk-usage", base, *(f"^{oid}" for oid in has)])
        except CommandFailed:
            return False  # some of the older objects are missing
        return int(used) <= budget_bytes

    async def _git(
        self,
        arguments: Sequence[str | Path],
        *,
        index: Path | None = None,
        stdin: bytes | None = None,
        environment: Mapping[str, str] | None = None,
        accepted: Sequence[int] = (0,),
    ) -> str:
        try:
            done = await git(
                arguments,
                cwd=self.tree,
                environment={**self._environment(index or self._index), **(environment or {})},
                stdin=stdin,
                accepted=accepted,
                timeout_s=GIT_DEADLINE_S,
            )
        except CommandFailed as error:
            error.hint = "did the repository change meanwhile? `git status` and `git fsck` tell what is wrong with it"
            raise
        return done.stdout.decode("ascii", "replace")

    def _environment(self, index: Path) -> dict[str, str]:
        return {
            "GIT_DIR": os.fspath(self._directory),
            "GIT_WORK_TREE": os.fspath(self.tree),
            "GIT_INDEX_FILE": os.fspath(index),
        }

    def _read_index(self, path: Path) -> list[IndexEntry]:
        found = read_small_file(path, limit_bytes=INDEX_LIMIT_BYTES)
        entries = read_index(found[0], object_format=self._repository.object_format) if found is not None else []
        for entry in entries:
            if entry.mode == GITLINK and not self._repository.submodules:
                raise has_submodule(entry.path)
            if entry.mode not in self._modes or entry.stage != 0 or not can_be_tracked(entry.path):
                raise Invalid(
                    f"{printable(entry.path, limit=200)} cannot be copied as it is tracked",
                    hint="did the repository change meanwhile? see `git status`",
                )
        return entries

    @property
    def _modes(self) -> tuple[int, ...]:
        return (*TRACKED_MODES, GITLINK) if self._repository.submodules else TRACKED_MODES

    def _unhide(self, entries: Iterable[IndexEntry]) -> None:
        """Make git look at files that it was told to skip, keeping the time of the index.

        Submodules are left out: git would start itself in them, with what they configure.
        """
        before = self._index.stat()
        entries = (entry for entry in entries if entry.mode != GITLINK)
        self._index.write_bytes(write_index(entries, object_format=self._repository.object_format))
        os.utime(self._index, ns=(before.st_atime_ns, before.st_mtime_ns))

    def _write_shallow(self, ends: Iterable[str]) -> None:
        path = self._directory / "shallow"
        path.unlink(missing_ok=True)
        commits = dict.fromkeys((*self._lent_shallow, *ends))
        if commits:
            path.write_text("".join(f"{commit}\n" for commit in commits))


def read_info(repository: Repository, name: str) -> bytes | None:
    """A small file of the repository's `info` directory: patterns and attributes, which run nothing by themselves.

    They go into the guest: a link would take along whatever file of this computer it points to.
    """
    path = b"info/" + name.encode()
    return read_below(repository.common_directory, path, limit_bytes=SMALL_FILE_LIMIT_BYTES)


def _plan_settings(repository: Repository) -> Sections:
    core = [
        ("bare", "false"),
        ("filemode", "true" if repository.file_mode else "false"),
        ("looseCompression", "0"),
        ("fsync", "none"),
    ]
    return [
        *format_sections(repository, core),
        ("pack", [("compression", "1"), ("window", "0"), ("writeReverseIndex", "false")]),
    ]


def _copy_with_time(source: Path, target: Path) -> None:
    found = read_small_file(source, limit_bytes=INDEX_LIMIT_BYTES)
    if found is not None:
        target.write_bytes(found[0])
        os.utime(target, ns=(found[1], found[1]))
