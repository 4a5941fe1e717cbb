"""The verdict on a patch from a guest: it has to be exactly what we have git write, else it is refused. Pure.

The format is that of `git diff --binary --full-index --no-renames` (git-diff(1), "Generating patch text with -p").
Everything else that a patch could contain is refused, above all renames and copies: they make the
host read a file whose content the guest may not know, such as an ignored `.env`, and put it where it gets published.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Literal

from banger.workspace.binary_hunk import OPERATIONS_LIMIT
from banger.workspace.embedded import find_git_directory
from banger.workspace.patch_file import LINK_MODE, FileParser
from banger.workspace.patch_lines import PatchLines, refused

FILES_LIMIT: Final = 200_000
BINARY_LIMIT_BYTES: Final = 2 << 30  # old and new content together: a thousandth of it may be all that is sent

Change = Literal["added", "modified", "deleted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchedFile:
    """The change of one path. Modes are octal text, empty if the file does not exist on that side.

    A file that became a link, or a link that became a file, is deleted and then added. `old_id` and `new_id` are git's
    ids of the content, zeros where the file is not, empty where only the mode changes. Its part of the patch is the
    bytes from `start` up to `end`.
    """

    path: bytes
    change: Change
    old_mode: str
    new_mode: str
    binary: bool
    link_target: bytes | None
    additions: int
    deletions: int
    old_id: str
    new_id: str
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchVerdict:
    """A patch that may be shown and applied. Line counts leave binary files out."""

    files: tuple[PatchedFile, ...]

    @property
    def additions(self) -> int:
        return sum(file.additions for file in self.files)

    @property
    def deletions(self) -> int:
        return sum(file.deletions for file in self.files)


def judge_file(path: Path, check: Callable[[], None] = lambda: None) -> PatchVerdict:
    """`judge_patch` for the whole of the file at `path`."""
    with path.open("rb") as patch:
        return judge_patch(patch, size_bytes=os.fstat(patch.fileno()).st_size, check=check)


def judge_patch(patch: BinaryIO, *, size_bytes: int, check: Callable[[], None] = lambda: None) -> PatchVerdict:
    """Read a whole patch of `size_bytes`. Raises `Denied` with the path and the reason for the first thing wrong.

    It may take minutes: `check` is called now and then, and may raise to end it.
    """
    lines = PatchLines(patch, size_bytes=size_bytes, check=check)
    files: list[PatchedFile] = []
    binary_bytes = operations = 0
    while lines.coming is not None:
        if len(files) == FILES_LIMIT:
            raise refused(None, f"it changes more than {FILES_LIMIT} files")
        start = lines.position
        parser = FileParser(lines)
        parser.parse()
        binary_bytes += parser.binary_bytes
        if binary_bytes > BINARY_LIMIT_BYTES:
            raise refused(parser.path, "with it the binary content is larger than 2 GiB in all")
        operations += parser.delta_operations
        if operations > OPERATIONS_LIMIT:
            raise refused(parser.path, "with it the deltas are longer than any that git makes")
        files.append(
            PatchedFile(
                path=parser.path,
                change=parser.change,
                old_mode=parser.old_mode.decode("ascii"),
                new_mode=parser.new_mode.decode("ascii"),
                binary=parser.binary,
                link_target=parser.link_target,
                additions=parser.additions,
                deletions=parser.deletions,
                old_id=parser.ids[0].decode("ascii"),
                new_id=parser.ids[1].decode("ascii"),
                start=start,
                end=lines.position,
            )
        )
    check_together(files)
    return PatchVerdict(files=tuple(files))


def check_together(files: list[PatchedFile]) -> None:
    """One change a path, and no file where another one is or was. Raises `Denied`.

    The exceptions are those that git writes: a change of type is a deletion right before an addition; a directory's
    files go when a file or link takes its place, and the other way round.
    """
    repository = find_git_directory(file.path for file in files if file.change != "deleted")
    if repository is not None:
        raise refused(repository, "it would be a git repository inside of this one, whose settings can run programs")
    last: dict[bytes, PatchedFile] = {}
    for before, file in zip((None, *files), files, strict=False):
        if file.path in last and not (before is not None and _is_change_of_type(before, file)):
            raise refused(file.path, "it is changed twice")
        last[file.path] = file
    for file in last.values():
        for above in _above(file.path):
            holder = last.get(above)
            if holder is None or (holder.change, file.change) in (("added", "deleted"), ("deleted", "added")):
                continue
            if holder.link_target is not None:
                raise refused(file.path, "it would be written through a symbolic link of the same patch")
            raise refused(file.path, "it lies below something that is a file in the same patch")


def _is_change_of_type(before: PatchedFile, file: PatchedFile) -> bool:
    return (
        before.path == file.path
        and (before.change, file.change) == ("deleted", "added")
        and (before.old_mode == LINK_MODE) != (file.new_mode == LINK_MODE)
    )


def _above(path: bytes) -> Iterator[bytes]:
    end = path.find(b"/")
    while end >= 0:
        yield path[:end]
        end = path.find(b"/", end + 1)
