"""Exporting edits: git in the guest makes a patch, which is judged here before anybody sees a byte of it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Protocol

from banger.core.errors import BangerError, Failed, Invalid, NotFound, Unsupported
from banger.core.threads import run_in_thread
from banger.core.untrusted import printable
from banger.workspace.guest_git import BASE_REF
from banger.workspace.verdict import PatchVerdict, judge_file

PATCH_LIMIT_BYTES: Final = 256 << 20
_COMMIT: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_REVISION_LIMIT: Final = 256
_NO_REPOSITORY: Final = b"not a git repository"
_NO_GIT, _NO_BASE, _NO_BASE_TREE, _NO_FILES = 101, 102, 103, 104

# One program, because starting one costs more than what it does. It works on an index of its own, which begins as a
# copy of the guest's (as old as it: see racy entries in gitformat-index(5)) so that only what changed is read, and
# which goes in any case; those of exports that were killed go with the next one. Standard output is the patch alone.
_SCRIPT: Final = r"""
base=$1
command -v git >/dev/null 2>&1 || exit 101
for old in .git/banger-export-index-*; do
    owner=${old##*-}
    [ -e "/proc/${owner%.lock}" ] || rm -f "$old"
done
GIT_INDEX_FILE=.git/banger-export-index-$$
export GIT_INDEX_FILE
trap 'rm -f "$GIT_INDEX_FILE" "$GIT_INDEX_FILE.lock"' EXIT
trap 'exit 129' HUP INT TERM
run() {
    git -c core.quotePath=true -c core.fsmonitor=false -c core.hooksPath=/dev/null -c core.safecrlf=false \
        -c diff.suppressBlankEmpty=false -c safe.directory='*' "$@"
}
run rev-parse --verify --quiet "$base^{commit}" >&2 || exit 102
cp -p .git/index "$GIT_INDEX_FILE" 2>/dev/null
run read-tree --reset "$base" >&2 || { rm -f "$GIT_INDEX_FILE"; run read-tree "$base" >&2; } || exit 103
run -c advice.addEmbeddedRepo=false add --all -- . >&2 || exit 104
run diff-index --cached --patch --binary --full-index --unified=3 --inter-hunk-context=0 --no-color --no-ext-diff \
    --no-textconv --no-renames --no-relative --src-prefix=a/ --dst-prefix=b/ --submodule=short \
    --ignore-submodules=none "$base" --
"""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program in the guest ended, and the beginning of its stderr."""

    status: int
    stderr: bytes


class RunningProgram(Protocol):
    """A running program in the guest, whose output is read as it comes."""

    def output(self) -> AsyncIterator[bytes]: ...

    async def ended(self) -> Ended: ...


class Guest(Protocol):
    """Runs programs in the guest."""

    def program(
        self, argv: Sequence[str], *, cwd: str, environment: Mapping[str, str]
    ) -> AbstractAsyncContextManager[RunningProgram]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedPatch:
    """A patch on the host's disk that has been judged."""

    path: Path
    size_bytes: int
    base: str
    verdict: PatchVerdict


async def export_patch(
    guest: Guest, *, guest_path: str, base: str | None, spool: Path, limit_bytes: int = PATCH_LIMIT_BYTES
) -> ExportedPatch:
    """Make a patch of everything done in the workspace since it was copied (or since `base`), and judge it.

    `base` is anything that git in the guest understands as one commit.

    Commits, changes that are not committed and new files count, ignored files do not. The guest's own index is left
    alone, and exports at the same time do not disturb each other. Raises `Unsupported` when the guest has no git,
    `Invalid` for a bad base, `Failed` when git fails there or the patch is too large, `Denied` (from the verdict) for a
    patch that would do more than change files of the tree.
    """
    if base is not None:
        check_revision(base)
    try:
        since = await _find_base(guest, guest_path, base)
        size_bytes = await _spool(guest, guest_path, since, spool=spool, limit_bytes=limit_bytes)
    except NotFound as error:
        raise _no_git() from error
    verdict = await run_in_thread(partial(judge_file, spool))
    return ExportedPatch(path=spool, size_bytes=size_bytes, base=since, verdict=verdict)


async def _spool(guest: Guest, guest_path: str, since: str, *, spool: Path, limit_bytes: int) -> int:
    size_bytes = 0
    argv = ["sh", "-c", _SCRIPT, "banger-export", since]
    with spool.open("xb") as file:
        async with guest.program(argv, cwd=guest_path, environment=guest_environment()) as program:
            async for data in program.output():
                size_bytes += len(data)
                if size_bytes > limit_bytes:
                    raise Failed(
                        f"the patch is larger than {limit_bytes >> 20} MiB",
                        hint="add what was generated to .gitignore in the guest",
                    )
                file.write(data)
            ended = await program.ended()
    if ended.status != 0:
        raise _explain(ended, since)
    return size_bytes


def check_revision(revision: str) -> None:
    """Raise `Invalid` for text that cannot name a commit, or that git could take for an option."""
    if not revision or revision.startswith("-") or not revision.isprintable() or len(revision) > _REVISION_LIMIT:
        raise Invalid(
            f"{ascii(revision)[:80]} does not name a commit", hint="give --base-commit an id, a branch or `HEAD~3`"
        )


async def _find_base(guest: Guest, guest_path: str, asked: str | None) -> str:
    """The full id of the requested commit, or of the copied one, as the guest says."""
    if asked is not None and _COMMIT.fullmatch(asked) is not None:
        return asked
    revision = asked or BASE_REF
    argv = ["git", "-c", "safe.directory=*", "rev-parse", "--verify", "--quiet", "--end-of-options"]
    said = b""
    async with guest.program(
        [*argv, f"{revision}^{{commit}}"], cwd=guest_path, environment=guest_environment()
    ) as program:
        async for data in program.output():
            said = (said + data)[:4096]
        ended = await program.ended()
    since = said.decode("ascii", "replace").strip()
    if ended.status != 0 or _COMMIT.fullmatch(since) is None:
        raise _explain(Ended(_NO_BASE, ended.stderr), revision)
    return since


def guest_environment() -> dict[str, str]:
    """What git in a guest is run with."""
    return {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C.UTF-8", "GIT_CONFIG_NOSYSTEM": "1", "GIT_ATTR_NOSYSTEM": "1"}


def _no_git() -> Unsupported:
    return Unsupported("there is no git in the guest", hint="use an image with git, or copy files out with `scp`")


def _explain(ended: Ended, since: str) -> BangerError:
    said = printable(ended.stderr.strip().splitlines()[0] if ended.stderr.strip() else b"", limit=300)
    if ended.status == _NO_GIT:
        return _no_git()
    if ended.status == _NO_BASE and _NO_REPOSITORY in ended.stderr:
        return Failed(
            "the workspace in the guest is no longer a git repository",
            hint="its .git was removed there; `banger vm cp` copies the files out",
        )
    if ended.status == _NO_BASE:
        return Failed(
            f"the workspace in the guest has no commit {printable(since, limit=100)} to compare the changes with",
            hint="give one that `git log` shows there with --base-commit",
        )
    what = {_NO_BASE_TREE: "read-tree", _NO_FILES: "add"}.get(ended.status, "diff-index")
    return Failed(
        f"git {what} failed in the guest: {said or f'status {ended.status}'}",
        hint="try `banger vm exec -- git status` there",
    )
