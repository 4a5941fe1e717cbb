"""What goes into a guest: the tracked files as they are in the work tree, and a `.git` with enough history."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Literal

from banger.core.errors import BangerError, Failed, Invalid
from banger.core.untrusted import printable
from banger.workspace.borrowed import GITLINK, BorrowedRepository, read_info
from banger.workspace.guest_git import DIRECTORIES, plan_guest_index, plan_texts
from banger.workspace.index import IndexEntry, write_index
from banger.workspace.known import Known, as_sent, by_path
from banger.workspace.repository import Repository, plan_guest_path
from banger.workspace.work_tree import Seen, Stamp, WorkTree

LEAST_BUDGET_BYTES: Final = 32 << 20
_LINK_MODE: Final = 0o120000
_LOW_32_BITS: Final = 0xFFFFFFFF
_SECOND_NS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkspaceEntry:
    """One entry of the workspace, `size` bytes long.

    `kind` is `file` (a host file at `name` below `root`), `memory` (with its `content`), `link` (with its target as
    content), `name` (one more name for the file whose path is the content) or `directory`. `stamp` tells a tracked file
    from one that took its place later.
    """

    path: bytes
    kind: Literal["file", "memory", "link", "name", "directory"]
    mode: int
    mtime_ns: int
    size: int = 0
    content: bytes = b""
    root: Path | None = None
    name: bytes = b""
    stamp: Stamp | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A snapshot of a repository. `base` is the commit of exactly the files in `in_tree`.

    The entries of `files` are in the order of `in_tree`; one that changed since git saw it has no stamp.
    """

    repository: Repository
    source: BorrowedRepository = field(repr=False)
    staged: Sequence[IndexEntry]
    base: str
    in_tree: Mapping[bytes, IndexEntry]
    files: Sequence[WorkspaceEntry]

    def submodules(self) -> Iterator[bytes]:
        """Their paths, which are directories."""
        return (path for path, entry in self.in_tree.items() if entry.mode == GITLINK)

    async def index_tree(self) -> str:
        """What is staged for the guest, as a tree."""
        planned = plan_guest_index(self.staged, in_tree=self.in_tree, sent={})
        same = len(planned) == len(self.in_tree) and all(
            (present := self.in_tree.get(entry.path)) is not None
            and (present.mode, present.oid) == (entry.mode, entry.oid)
            for entry in planned
        )
        return self.source.tree_id if same else await self.source.write_tree_of(planned)

    def staged_objects(self) -> Iterator[bytes]:
        """Contents that are staged and not in the base."""
        for entry in self.staged:
            present = self.in_tree.get(entry.path)
            if entry.mode != GITLINK and not entry.intent_to_add and (present is None or present.oid != entry.oid):
                yield entry.oid


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
    source: BorrowedRepository = field(repr=False)
    top: Path
    known: Known = field(repr=False)

    def at(self, guest_path: str) -> PackedWorkspace:
        """The same for another place in the guest."""
        return replace(self, guest_path=guest_path)


async def look_at(repository: Repository, scratch: Path) -> Look:
    """Look at all tracked files. The empty directory `scratch` is for work files, and must exist until all is sent.

    Raises `Invalid` for what became impossible since the repository was inspected, `CommandFailed` when git cannot
    read it.
    """
    source = BorrowedRepository(repository, scratch)
    await asyncio.to_thread(source.make)
    staged = await source.read_staged()
    base, in_tree = await source.commit_work_tree()
    files = await asyncio.to_thread(list_files, source.tree, in_tree)
    return Look(
        repository=repository, source=source, staged=staged, base=base, in_tree=by_path(in_tree), files=tuple(files)
    )


async def prepare(repository: Repository, scratch: Path) -> PackedWorkspace:
    """Pack a repository that no guest has yet. `scratch` and errors as for `look_at`."""
    return await pack_whole(await look_at(repository, scratch))


async def pack_whole(look: Look) -> PackedWorkspace:
    """Pack all that was looked at."""
    repository, source, base = look.repository, look.source, look.base
    files = await settle_files(look.files, source, base)
    budget_bytes = max(LEAST_BUDGET_BYTES, sum(file.size for file in files))
    pack, shallow = await source.pack(base, staged=look.staged_objects(), budget_bytes=budget_bytes)
    sent = {file.path: file.stamp for file in files if file.stamp is not None}
    # git reads a file again whose time is not before its index's, so this time is taken when all files were looked at.
    now_ns = time.time_ns()
    index = write_index(
        plan_guest_index(look.staged, in_tree=look.in_tree, sent=sent), object_format=repository.object_format
    )
    refs = await source.read_refs()
    texts = plan_texts(repository, base=base, shallow=shallow, refs=refs) | {b"index": index}
    texts |= {b"info/" + name: content for name, content in read_infos(repository)}
    entries = (
        *plan_directories(files, now_ns=now_ns, also=look.submodules()),
        *files,
        *(WorkspaceEntry(path=path, kind="directory", mode=0o755, mtime_ns=now_ns) for path in DIRECTORIES),
        *pack_entries(pack, b".git/objects/pack/", now_ns=now_ns),
        *(memory_entry(b".git/" + name, content, now_ns=now_ns) for name, content in texts.items()),
    )
    return PackedWorkspace(
        guest_path=plan_guest_path(repository.top),
        head=repository.head,
        branch=repository.branch,
        base=base,
        entries=entries,
        total_bytes=sum(entry.size for entry in entries),
        file_count=len(files),
        source=source,
        top=source.tree,
        known=Known(
            base=base,
            head=repository.head,
            object_format=repository.object_format,
            shallow=shallow,
            files={path: as_sent(entry, sent.get(path)) for path, entry in look.in_tree.items()},
            choice=repository.choice,
            index_tree=await look.index_tree(),
        ),
    )


async def settle(packed: PackedWorkspace) -> PackedWorkspace:
    """The workspace with the old content of files that have changed since; call it right before sending."""
    entries = await asyncio.to_thread(find_changes, packed.top, packed.entries)
    entries = await settle_files(entries, packed.source, packed.base)
    return replace(packed, entries=tuple(entries), total_bytes=sum(entry.size for entry in entries))


def list_files(top: Path, in_tree: Iterable[IndexEntry]) -> list[WorkspaceEntry]:
    """An entry for each file of the work tree; without a stamp when it is not the one that git saw. Blocking."""
    entries: list[WorkspaceEntry] = []
    with WorkTree(top) as tree:
        for entry in in_tree:
            if entry.mode == GITLINK:
                continue
            seen = tree.look(entry.path)
            entries.append(_describe(top, entry, seen if seen is not None and is_what_git_saw(entry, seen) else None))
    return entries


def is_what_git_saw(entry: IndexEntry, seen: Seen) -> bool:
    """Whether time, size and kind of a file are still those of the index."""
    return (
        (seen.target is not None) == (entry.mode == _LINK_MODE)
        and seen.stamp.size & _LOW_32_BITS == entry.stat.size
        and seen.stamp.mtime_ns // _SECOND_NS & _LOW_32_BITS == entry.stat.mtime_s
    )


async def settle_files(
    entries: Iterable[WorkspaceEntry], source: BorrowedRepository, base: str
) -> list[WorkspaceEntry]:
    """The entries with those that have no stamp replaced by what the base has there, so that base and files agree."""
    settled: list[WorkspaceEntry] = []
    for entry in entries:
        if not _is_unsettled(entry):
            settled.append(entry)
            continue
        try:
            content = await source.read_content(base, entry.path)
        except BangerError as error:
            raise Failed(
                f"{printable(entry.path, limit=200)} changed while the repository was copied", hint="try again"
            ) from error
        kind: Literal["memory", "link"] = "link" if entry.kind == "link" else "memory"
        settled.append(replace(entry, kind=kind, content=content, size=len(content), root=None, name=b""))
    return settled


def plan_directories(
    files: Iterable[WorkspaceEntry], *, now_ns: int, also: Iterable[bytes] = ()
) -> list[WorkspaceEntry]:
    """The directories above the files and `also`, each before what is in it.

    Raises `Invalid` when one of them is a file.
    """
    paths = {file.path for file in files}
    wanted = dict.fromkeys(also)
    for path in (*paths, *wanted):
        above = path.rpartition(b"/")[0]
        while above and above not in wanted:
            wanted[above] = None
            above = above.rpartition(b"/")[0]
    both = paths & wanted.keys()
    if both:
        raise Invalid(
            f"{printable(min(both), limit=200)} is tracked both as a file and as a directory",
            hint="`git fsck` says what is wrong",
        )
    # A directory's name is the beginning of the names in it, and so sorts before them.
    return [WorkspaceEntry(path=path, kind="directory", mode=0o755, mtime_ns=now_ns) for path in sorted(wanted)]


def _describe(top: Path, entry: IndexEntry, seen: Seen | None) -> WorkspaceEntry:
    is_link = entry.mode == _LINK_MODE
    stamp = seen.stamp if seen is not None else None
    return WorkspaceEntry(
        path=entry.path,
        kind="link" if is_link else "file",
        mode=0o777 if is_link else entry.mode & 0o777,
        mtime_ns=stamp.mtime_ns if stamp is not None else entry.stat.mtime_s * _SECOND_NS,
        size=stamp.size if stamp is not None else 0,
        content=(seen.target or b"") if seen is not None else b"",
        root=top,
        name=entry.path,
        stamp=stamp,
    )


def _is_unsettled(entry: WorkspaceEntry) -> bool:
    return entry.stamp is None and entry.root is not None and not entry.path.startswith(b".git/")


def find_changes(top: Path, entries: Iterable[WorkspaceEntry]) -> list[WorkspaceEntry]:
    """The entries; without a stamp when the file is not the one that was seen before. Blocking."""
    found: list[WorkspaceEntry] = []
    with WorkTree(top) as tree:
        for entry in entries:
            if entry.stamp is None:
                found.append(entry)
                continue
            seen = tree.look(entry.path)
            same = seen is not None and seen.stamp == entry.stamp
            found.append(entry if same else replace(entry, stamp=None))
    return found


def pack_entries(pack: Path, where: bytes, *, now_ns: int) -> list[WorkspaceEntry]:
    """The two files of a pack, whose path has no suffix, to be put in a directory."""
    paths = [pack.with_name(pack.name + suffix) for suffix in (".pack", ".idx")]
    return [
        WorkspaceEntry(
            path=where + os.fsencode(path.name),
            kind="file",
            mode=0o444,
            mtime_ns=now_ns,
            size=path.stat().st_size,
            root=path.parent,
            name=os.fsencode(path.name),
        )
        for path in paths
    ]


def memory_entry(path: bytes, content: bytes, *, now_ns: int) -> WorkspaceEntry:
    """A file that was made here."""
    return WorkspaceEntry(path=path, kind="memory", mode=0o644, mtime_ns=now_ns, size=len(content), content=content)


def read_infos(repository: Repository) -> Iterator[tuple[bytes, bytes]]:
    """The small files of the repository's `info` directory, by name."""
    for name in ("exclude", "attributes"):
        content = read_info(repository, name)
        if content is not None:
            yield name.encode(), content
