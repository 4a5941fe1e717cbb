"""Trying a patch on the user's files as they are now, in an index and a repository of our own.

git reads the user's files here and writes none of them. No hook, filter or other program of a repository is started:
the configuration in force is `BorrowedRepository`'s.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from banger.core.errors import BangerError, Failed
from banger.core.processes import CommandFailed
from banger.core.untrusted import printable
from banger.workspace.borrowed import BorrowedRepository
from banger.workspace.patch_lines import show_path

_SHOWN_PATHS: Final = 5
_UNFIT: Final = re.compile(
    rb"error: (?:patch failed: )?(.*?)(?::\d+|: patch does not apply|: already exists.*|: does not .*)"
)


class Content(NamedTuple):
    """The content of a path: git's mode as octal text, and its id of the content."""

    mode: str
    oid: str


class Bench:
    """One attempt. `scratch` is a directory for its files."""

    def __init__(self, source: BorrowedRepository, scratch: Path) -> None:
        self._source = source
        self._index = scratch / "bench-index"

    async def load(self, paths: Iterable[bytes]) -> None:
        """Add these files of the user's to the index as they are. Each must be a regular file or a symbolic link."""
        listed = b"".join(path + b"\0" for path in paths)
        await self._git("update-index", "--add", "-z", "--stdin", stdin=listed)

    async def contents(self) -> Mapping[bytes, Content]:
        """Everything that is in the index."""
        listed = await self._git("ls-files", "-z", "--stage")
        found: dict[bytes, Content] = {}
        for record in listed.split(b"\0")[:-1]:
            described, _, path = record.partition(b"\t")
            mode, oid, _ = described.decode("ascii").split(" ")
            found[path] = Content(mode, oid)
        return found

    async def apply(self, patch: Path, *, reverse: bool = False) -> None:
        """Apply a judged patch, all of it or nothing. Raises `Failed` with the names of files that it does not fit."""
        way = ("--reverse",) if reverse else ()
        try:
            await self._git("apply", "--cached", "--whitespace=nowarn", *way, "--", os.fspath(patch))
        except CommandFailed as error:
            raise explain_misfit(error.completed.stderr) from error

    async def write_out(self, paths: Iterable[bytes], directory: Path) -> None:
        """Write these files as they are to be in the work tree; of a symbolic link its target, as a file."""
        listed = b"".join(path + b"\0" for path in paths)
        prefix = f"--prefix={directory}/"
        await self._git("-c", "core.symlinks=false", "checkout-index", "-z", "--stdin", prefix, stdin=listed)

    async def _git(self, *arguments: str, stdin: bytes | None = None) -> bytes:
        return await self._source.run(arguments, index=self._index, stdin=stdin)


def explain_misfit(stderr: bytes) -> BangerError:
    """Git's reason for not applying a patch, in one sentence."""
    names = dict.fromkeys(match[1] for line in stderr.splitlines() if (match := _UNFIT.fullmatch(line)))
    shown = [show_path(name) for name in list(names)[:_SHOWN_PATHS]]
    if len(names) > len(shown):
        shown.append(f"{len(names) - len(shown)} more")
    what = ", ".join(shown) or printable(stderr.strip().splitlines()[0] if stderr.strip() else b"", limit=200)
    return Failed(
        f"the patch does not fit the files here: {what}",
        hint="they changed since the copy; --pick takes others, and `git apply --3way` can merge the patch",
    )
