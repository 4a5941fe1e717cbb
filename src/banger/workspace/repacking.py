"""Packing what goes into a guest that has an earlier state of the same repository."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from banger.workspace.guest_git import plan_texts
from banger.workspace.known import Known, as_sent
from banger.workspace.packing import (
    LEAST_BUDGET_BYTES,
    Look,
    WorkspaceEntry,
    find_changes,
    memory_entry,
    pack_entries,
    plan_directories,
    read_infos,
    settle_files,
)
from banger.workspace.survey import INCOMING, INCOMING_PARTIAL, Survey
from banger.workspace.update import UpdatePlan


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedUpdate:
    """Ready to be sent: `staged` to the workspace's `.git`, then, once that is applied, `placed` to its top.

    `index_tree` is what is staged on the host, as a tree: the guest's git knows the times of its files itself.
    """

    head: str | None
    branch: str | None
    base: str
    index_tree: str
    staged: tuple[WorkspaceEntry, ...]
    placed: tuple[WorkspaceEntry, ...]
    sent_bytes: int
    sent_count: int
    removed_count: int
    known: Known = field(repr=False)


async def pack_update(look: Look, known: Known, plan: UpdatePlan) -> PackedUpdate:
    """Pack what the plan says, and the objects that the guest does not have."""
    repository, source, base = look.repository, look.source, look.base
    send = set(plan.send)
    files = [file for file in look.files if file.path in send]
    files = await asyncio.to_thread(find_changes, source.tree, files)
    files = await settle_files(files, source, base)
    budget_bytes = max(LEAST_BUDGET_BYTES, sum(file.size for file in files))
    index_tree = await look.index_tree()
    staged_tree = bytes.fromhex(index_tree)
    pack, shallow = await source.pack_since(base, staged=[staged_tree], known=known, budget_bytes=budget_bytes)
    now = _know(look, known, files, shallow, index_tree)
    now_ns = time.time_ns()
    texts = _plan_lists(plan) | dict(read_infos(repository))
    if shallow != known.shallow:
        texts |= {b"shallow": plan_texts(repository, base=base, shallow=shallow)[b"shallow"]}
    top = INCOMING_PARTIAL + b"/"
    contents = [file for file in files if file.kind != "link"]
    staged = (
        WorkspaceEntry(path=INCOMING_PARTIAL, kind="directory", mode=0o700, mtime_ns=now_ns),
        WorkspaceEntry(path=top + b"files", kind="directory", mode=0o700, mtime_ns=now_ns),
        *(replace(file, path=top + b"files/%d" % number) for number, file in enumerate(contents)),
        *(pack_entries(pack, top, now_ns=now_ns) if pack is not None else ()),
        *(memory_entry(top + name, content, now_ns=now_ns) for name, content in texts.items()),
    )
    return PackedUpdate(
        head=repository.head,
        branch=repository.branch,
        base=base,
        index_tree=index_tree,
        staged=staged,
        placed=tuple(_place(files, contents, now_ns=now_ns)),
        sent_bytes=sum(entry.size for entry in staged),
        sent_count=len(files),
        removed_count=len(plan.remove),
        known=now,
    )


def _place(
    files: Iterable[WorkspaceEntry], contents: Iterable[WorkspaceEntry], *, now_ns: int
) -> Iterable[WorkspaceEntry]:
    yield from plan_directories(files, now_ns=now_ns)
    yield from (file for file in files if file.kind == "link")
    for number, file in enumerate(contents):
        target = b".git/" + INCOMING + b"/files/%d" % number
        yield replace(file, kind="name", content=target, size=0, root=None, name=b"")


async def has_all(look: Look, known: Known, plan: UpdatePlan, found: Survey) -> bool:
    """Whether the guest already has the repository's files, staged content, commit and branch."""
    if plan.send or plan.remove or known.files.keys() != look.in_tree.keys():
        return False
    if any((known.files[path].mode, known.files[path].oid) != (e.mode, e.oid) for path, e in look.in_tree.items()):
        return False
    at_head = known.head == found.head == look.repository.head and found.branch == look.repository.branch
    return at_head and known.choice == look.repository.choice and known.index_tree == await look.index_tree()


def _know(
    look: Look, known: Known, files: Iterable[WorkspaceEntry], shallow: tuple[str, ...], index_tree: str
) -> Known:
    """What the guest has afterwards, with the times of files that are sent now and of those that it keeps."""
    sent = {file.path: file.stamp for file in files}
    after = {}
    for path, entry in look.in_tree.items():
        had = known.files.get(path)
        if path in sent:
            after[path] = as_sent(entry, sent[path])
        elif had is not None and (had.mode, had.oid) == (entry.mode, entry.oid):
            after[path] = had
        else:
            after[path] = as_sent(entry, None)
    return Known(
        base=look.base,
        head=look.repository.head,
        object_format=known.object_format,
        shallow=shallow,
        files=after,
        choice=look.repository.choice,
        index_tree=index_tree,
    )


def _plan_lists(plan: UpdatePlan) -> dict[bytes, bytes]:
    lists = {b"remove": plan.remove, b"directories": plan.directories, b"clear": plan.clear}
    texts = {name: b"".join(b"./" + path + b"\0" for path in paths) for name, paths in lists.items()}
    return {**texts, b"sent": b"".join(path + b"\0" for path in plan.send)}
