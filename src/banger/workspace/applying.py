"""Applying a judged patch to the work tree that the workspace was copied from, as a whole or not at all."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from banger.core.errors import Denied, Failed, WrongState
from banger.core.files import make_private_directory
from banger.workspace.bench import Bench, Content
from banger.workspace.borrowed import BorrowedRepository
from banger.workspace.embedded import find_git_directory
from banger.workspace.patch_lines import show_path
from banger.workspace.patch_parts import copy_parts
from banger.workspace.placing import NEW, PlacedFile, Placing
from banger.workspace.reaching import find_obstacle
from banger.workspace.repository import Repository
from banger.workspace.verdict import PatchedFile, PatchVerdict
from banger.workspace.work_tree import Seen, WorkTree

SHOWN_PATHS: Final = 3
_PLAIN, _EXECUTABLE, _LINK = "100644", "100755", "120000"


@dataclass(frozen=True, slots=True)
class SavedPatch:
    """A judged patch on the host's disk, or the picked part of one."""

    path: Path
    verdict: PatchVerdict


@dataclass(frozen=True, slots=True)
class FileChange:
    """What a patch does to one path; None where no file is. Its parts are two when a file becomes a link."""

    path: bytes
    old: Content | None
    new: Content | None
    parts: tuple[PatchedFile, ...]


@dataclass(frozen=True, slots=True)
class Selection:
    """How a patch is applied: which changes are made, and how many are made already.

    `undone` are parts of earlier patches, by the index of the patch: what they did is done again by this one, or, for
    the paths in `reverted`, is taken back because this one does it no more.
    """

    made: tuple[FileChange, ...]
    already: int
    reverted: tuple[bytes, ...]
    undone: tuple[tuple[int, tuple[PatchedFile, ...]], ...]


@dataclass(frozen=True, slots=True)
class Prepared:
    """What will happen to the work tree; `placing` is None if nothing will.

    `changed` files will change, among them those `reverted`; `already` changes are there already.
    """

    placing: Placing | None
    changed: int
    already: int
    reverted: tuple[bytes, ...]


def fold_changes(verdict: PatchVerdict, *, file_mode: bool = True) -> dict[bytes, FileChange]:
    """The changes by path. Without `file_mode`, which is git's setting, no file of the tree counts as executable."""
    folded: dict[bytes, FileChange] = {}
    for file in verdict.files:
        old_mode, new_mode = (
            _PLAIN if mode == _EXECUTABLE and not file_mode else mode for mode in (file.old_mode, file.new_mode)
        )
        old = Content(old_mode, file.old_id) if old_mode else None
        new = Content(new_mode, file.new_id) if new_mode else None
        before = folded.get(file.path)
        parts = (file,) if before is None else (*before.parts, file)
        folded[file.path] = FileChange(file.path, old if before is None else before.old, new, parts)
    return folded


def select_changes(
    changes: Mapping[bytes, FileChange],
    here: Mapping[bytes, Content],
    earlier: Sequence[Mapping[bytes, FileChange]],
) -> Selection:
    """Compare a patch with what is `here`, and with patches of the same base that were applied, the newest first.

    A workspace that is exported again still has what was exported before: such changes count once. One of the newest
    earlier patch that it no longer has is undone, if the file here is still as that patch made it.
    """
    made: list[FileChange] = []
    reverted: list[bytes] = []
    undone: dict[int, tuple[PatchedFile, ...]] = {}
    for path in dict.fromkeys((*changes, *(earlier[0] if earlier else ()))):
        present, change = here.get(path), changes.get(path)
        if change is not None:
            if _is(present, change.new, present):
                continue
            made.append(change)
            if _is(present, change.old, present):
                continue
        for index, patch in enumerate(earlier if change is not None else earlier[:1]):
            before = patch.get(path)
            if before is None or not _is(present, before.new, present):
                continue
            if change is None or before.old == change.old:
                undone[index] = (*undone.get(index, ()), *before.parts)
                reverted += [path] if change is None else []
            break
    return Selection(tuple(made), len(changes) - len(made), tuple(reverted), tuple(undone.items()))


async def prepare_patch(
    repository: Repository,
    patch: SavedPatch,
    *,
    earlier: Sequence[SavedPatch],
    applied: Sequence[SavedPatch],
    directory: Path,
    allow_dirty: bool,
    umask: int,
) -> Prepared:
    """Find out what applying would do, and put everything it needs into the empty `directory`. Changes nothing else.

    `earlier` are patches that were applied before, the newest first, as far as this is about their files; `applied` are
    the whole of them. Raises `WrongState` for a repository with changes of its own, which are not those that they
    brought, unless that is allowed; `Failed` with the names of the files that the patch does not fit.
    """
    make_private_directory(directory)
    source = BorrowedRepository(repository, directory)
    await asyncio.to_thread(source.make)
    dirty: Sequence[bytes] = ()
    if not allow_dirty:
        await source.read_staged()
        dirty = await source.list_changes()
    changes = fold_changes(patch.verdict, file_mode=repository.file_mode)
    before = [fold_changes(saved.verdict, file_mode=repository.file_mode) for saved in earlier]
    brought = [fold_changes(saved.verdict, file_mode=repository.file_mode) for saved in applied]
    doubted = {path for path in dirty if any(path in patch for patch in brought)}
    paths = doubted.union(changes, *before)
    present = await asyncio.to_thread(_look, repository.top, paths)
    bench = Bench(source, directory)
    await bench.load(path for path, seen in present.items() if seen is not None)
    here = await bench.contents()
    check_clean([path for path in dirty if not is_applied(path, here.get(path), brought)])
    selection = select_changes(changes, here, before)
    for index, parts in selection.undone:
        part = await asyncio.to_thread(_cut, earlier[index].path, parts, directory / f"undone-{index}.patch")
        await bench.apply(part, reverse=True)
    if selection.made:
        made = [part for change in selection.made for part in change.parts]
        await bench.apply(await asyncio.to_thread(_cut, patch.path, made, directory / "made.patch"))
    changing = [*(change.path for change in selection.made), *selection.reverted]
    if not changing:
        return Prepared(None, 0, selection.already, ())
    results = await bench.contents()
    await asyncio.to_thread(_check_obstacles, repository.top, changing, results)
    (directory / NEW).mkdir()
    await bench.write_out((path for path in changing if path in results), directory / NEW)
    files = [_plan_file(path, results.get(path), present[path], file_mode=repository.file_mode) for path in changing]
    placing = Placing(directory, repository.top, files, umask=umask)
    return Prepared(placing, len(changing), selection.already, selection.reverted)


def is_applied(path: bytes, present: Content | None, earlier: Sequence[Mapping[bytes, FileChange]]) -> bool:
    """Whether a path is as one of the earlier patches has left it. Those that only change a mode do not count."""
    for patch in earlier:
        if (change := patch.get(path)) is not None:
            known = change.new is None or bool(change.new.oid)
            if known and _is(present, change.new, present):
                return True
    return False


def check_clean(changes: Sequence[bytes]) -> None:
    """Raise `WrongState` when the repository has changes that are not committed."""
    if not changes:
        return
    shown = [show_path(path) for path in changes[:SHOWN_PATHS]]
    if len(changes) > len(shown):
        shown.append(f"{len(changes) - len(shown)} more")
    raise WrongState(
        f"the repository has changes that are not committed: {', '.join(shown)}",
        hint="commit or stash them first, or give --allow-dirty to have the patch beside them",
    )


def _is(present: Content | None, wanted: Content | None, here: Content | None) -> bool:
    """Whether a path has the `wanted` content; if that has no id, the content stays the one that is `here`."""
    if present is None or wanted is None:
        return present is None and wanted is None
    oid = wanted.oid or (here.oid if here is not None else "")
    return (present.mode, present.oid) == (wanted.mode, oid)


def _look(top: Path, paths: Collection[bytes]) -> dict[bytes, Seen | None]:
    with WorkTree(top) as tree:
        return {path: tree.look(path) for path in sorted(paths)}


def _plan_file(path: bytes, result: Content | None, seen: Seen | None, *, file_mode: bool) -> PlacedFile:
    mode = result.mode if result is not None else ""
    if seen is not None and seen.target is None and mode not in ("", _LINK) and not file_mode:
        mode = _EXECUTABLE if seen.executable else _PLAIN  # git does not know what the file system says about it
    return PlacedFile(path, mode, seen.stamp if seen is not None else None)


def _cut(patch: Path, parts: Sequence[PatchedFile], target: Path) -> Path:
    with patch.open("rb") as source, target.open("xb") as cut:
        copy_parts(source, parts, cut)
    return target


def _check_obstacles(top: Path, paths: Sequence[bytes], results: Mapping[bytes, Content]) -> None:
    there = [path for path in paths if path in results]
    here = os.fsencode(top)
    repository = find_git_directory(there, lambda name: os.path.lexists(os.path.join(here, name)))
    if repository is not None:
        raise Denied(
            f"{show_path(repository)} would be a git repository inside of this one, whose settings can run programs",
            hint="--pick other files, and look at that one before you put it there yourself",
        )
    gone = frozenset(path for path in paths if path not in results)
    for path in paths:
        obstacle = find_obstacle(top, path, gone) if path in results else None
        if obstacle is not None:
            raise Failed(f"the patch does not fit: {obstacle}", hint="move it away first, or `--pick` other files")
