"""Parts of a judged patch: the picked files, cut out byte for byte."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Sequence
from typing import BinaryIO, Final

from banger.core.errors import Invalid, NotFound
from banger.workspace.patch_lines import show_path
from banger.workspace.verdict import PatchedFile, PatchVerdict

_COPY_BYTES: Final = 1 << 20


def pick_files(verdict: PatchVerdict, picked: Sequence[bytes]) -> PatchVerdict:
    """The verdict on the files that are at, or below, one of the paths; on all files when none is given.

    Paths begin at the top of the repository. Raises `NotFound` for one that the patch does not touch, `Invalid` for one
    that leaves the repository.
    """
    if not picked:
        return verdict
    wanted = [_normal(path) for path in picked]
    for path in wanted:
        if not any(_is_at_or_below(file.path, path) for file in verdict.files):
            raise NotFound(
                f"the patch does not touch {show_path(path)}",
                hint="`banger vm workspace status` lists what it changes; paths begin at the top of the repository",
            )
    return narrow(verdict, picked)


def narrow(verdict: PatchVerdict, picked: Sequence[bytes]) -> PatchVerdict:
    """The same for a patch that need not touch any of the paths."""
    wanted = [_normal(path) for path in picked]
    chosen = (file for file in verdict.files if not wanted or any(_is_at_or_below(file.path, path) for path in wanted))
    return PatchVerdict(files=tuple(chosen))


def copy_parts(patch: BinaryIO, files: Iterable[PatchedFile], target: BinaryIO) -> None:
    """Write the parts of these files, in their order, into another patch."""
    for file in files:
        patch.seek(file.start)
        left = file.end - file.start
        while left and (data := patch.read(min(left, _COPY_BYTES))):
            target.write(data)
            left -= len(data)


def _normal(path: bytes) -> bytes:
    normal = posixpath.normpath(path) if path else b""
    if not normal or normal.startswith((b"/", b"../")) or normal == b"..":
        raise Invalid(
            f"{show_path(path)} is not a path inside the repository", hint="paths begin at the top of the repository"
        )
    return b"" if normal == b"." else normal


def _is_at_or_below(path: bytes, wanted: bytes) -> bool:
    return not wanted or path == wanted or path.startswith(wanted + b"/")
