"""What a reviewer should know about a patch before it is applied. Pure, apart from reading the patch.

A finding says what is worth a look; nothing is refused here. A file may be in several findings.
"""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

from banger.workspace import review_rules as rules
from banger.workspace.patch_file import LINK_MODE
from banger.workspace.patch_lines import LINE_LIMIT_BYTES
from banger.workspace.verdict import PatchedFile, PatchVerdict

_EXECUTABLE: Final = "100755"
LARGE_LINES: Final = 2_000
MANY_DELETED: Final = 20
LOOKED_AT_FILE_BYTES: Final = 4 << 20
LOOKED_AT_BYTES: Final = 32 << 20
_BLOCK_LINES: Final = 512

# Kinds in the order in which they are told, and what they are called.
TITLES: Final = {
    "runs_by_itself": "acted on by CI, editors, hooks, build tools or agents",
    "tests_deleted": "tests deleted",
    "tests_skipped": "tests skipped, or left without a meaning",
    "hidden_text": "text that does not look like what it is",
    "odd_names": "names that look like others, or cannot be typed",
    "new_binaries": "binaries added or changed",
    "new_executables": "new programs",
    "modes_changed": "made executable, or no longer",
    "links": "symbolic links",
    "lock_files": "which versions of other people's code are used",
    "new_places": "outside the directories that the repository has",
    "hidden_files": "new hidden files",
    "generated": "where tools put what they make",
    "large": "large changes",
    "many_deleted": "many files deleted",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """Files that a reviewer wants to look at, and why: `kind` is a key of `TITLES`."""

    kind: str
    paths: tuple[bytes, ...]

    @property
    def title(self) -> str:
        return TITLES[self.kind]


def review_patch(patch: BinaryIO, verdict: PatchVerdict, *, places: Collection[bytes]) -> tuple[Finding, ...]:
    """Look at a judged patch. `places` are the names that the repository has at its top."""
    found: dict[str, dict[bytes, None]] = {kind: {} for kind in TITLES}
    left_bytes = LOOKED_AT_BYTES
    for file in verdict.files:
        size_bytes = file.end - file.start
        limit_bytes = min(LOOKED_AT_FILE_BYTES, left_bytes)
        left_bytes -= min(size_bytes, limit_bytes)
        seen = (*_look_at_name(file, places), *_look_at_kind(file), *_look_at_lines(patch, file, limit_bytes))
        for kind in (*seen, *(["large"] if size_bytes > limit_bytes else [])):
            found[kind][file.path] = None
    deleted = [file.path for file in verdict.files if file.change == "deleted"]
    if len(deleted) >= MANY_DELETED:
        found["many_deleted"] = dict.fromkeys(deleted)
    return tuple(Finding(kind, tuple(paths)) for kind, paths in found.items() if paths)


def _look_at_name(file: PatchedFile, places: Collection[bytes]) -> Iterator[str]:
    if rules.runs_by_itself(file.path):
        yield "runs_by_itself"
    if rules.is_lock_file(file.path):
        yield "lock_files"
    if file.change == "deleted":
        if rules.is_test(file.path):
            yield "tests_deleted"
        return
    if rules.is_odd_name(file.path):
        yield "odd_names"
    if file.change != "added":
        return
    top, _, below = file.path.partition(b"/")
    if top not in places and below:
        yield "new_places"
    if rules.is_generated(file.path):
        yield "generated"
    if posixpath.basename(file.path).startswith(b"."):
        yield "hidden_files"


def _look_at_kind(file: PatchedFile) -> Iterator[str]:
    if file.change == "deleted":
        return
    if file.new_mode == LINK_MODE:
        yield "links"
    elif file.binary:
        yield "new_binaries"
    if file.change == "added" and file.new_mode == _EXECUTABLE:
        yield "new_executables"
    if file.change == "modified" and file.old_mode != file.new_mode:
        yield "modes_changed"
    if file.additions + file.deletions >= LARGE_LINES:
        yield "large"


def _look_at_lines(patch: BinaryIO, file: PatchedFile, limit_bytes: int) -> Iterator[str]:
    if file.binary or LINK_MODE in (file.new_mode, file.old_mode):
        return
    skips = hides = False
    begun = 0
    for block in _changed_lines(patch, file, limit_bytes):
        added = [line for line in block if line.startswith(b"+")]
        long = max(map(len, added), default=0) > rules.LONG_LINE_BYTES
        hides = hides or long or rules.hides_something(b"\n".join(added))
        if not rules.may_be_about_tests(b"\n".join(block)):
            continue
        skips = skips or any(rules.skips_a_test(line[1:]) for line in added)
        begun += sum(1 if line.startswith(b"+") else -1 for line in block if rules.begins_a_test(line[1:]))
    if skips:
        yield "tests_skipped"
    if hides:
        yield "hidden_text"
    if begun < 0 and not (file.change == "deleted" and rules.is_test(file.path)):
        yield "tests_deleted"


def _changed_lines(patch: BinaryIO, file: PatchedFile, limit_bytes: int) -> Iterator[list[bytes]]:
    """The lines that are added or removed, with their signs, some at a time; of a very long one only the beginning.

    What is beyond the limit is not looked at: nobody reads it either, and it counts as large.
    """
    patch.seek(file.start)
    end = min(file.end, file.start + limit_bytes)
    position = file.start
    in_hunks = continued = False
    block: list[bytes] = []
    while position < end:
        line = patch.readline(LINE_LIMIT_BYTES)
        position += len(line)
        if not continued:
            in_hunks = in_hunks or line.startswith(b"@@ ")
            if in_hunks and line[:1] in (b"+", b"-"):
                block.append(line.removesuffix(b"\n"))
        continued = not line.endswith(b"\n")
        if len(block) == _BLOCK_LINES:
            yield block
            block = []
    yield block
