"""Bringing edits back: git in the guest makes a patch, and it is judged here before anybody sees a byte of it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from banger.core.errors import BangerError, Failed, Invalid, NotFound, Unsupported
from banger.core.untrusted import printable
from banger.workspace.packing import BASE_REF
from banger.workspace.verdict import PatchVerdict, judge_patch

PATCH_LIMIT_BYTES: Final = 256 << 20
_INDEX: Final = ".git/banger-export-index"
_COMMIT: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_GIT: Final = (
    "git",
    *("-c", "core.quotePath=true"),
    *("-c", "core.fsmonitor=false"),
    *("-c", "core.hooksPath=/dev/null"),
    *("-c", "diff.noprefix=false", "-c", "diff.mnemonicPrefix=false"),
)
_DIFF: Final = (
    *("diff", "--cached", "--binary", "--full-index", "--no-color", "--no-ext-diff", "--no-textconv", "--no-renames"),
    *("--src-prefix=a/", "--dst-prefix=b/", "--no-indent-heuristic", "--submodule=short", "--ignore-submodules=none"),
)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program in the guest ended, and the beginning of what it said on stderr."""

    status: int
    stderr: bytes


class RunningProgram(Protocol):
    """A program in the guest whose output is taken as it comes."""

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


async def export_patch(guest: Guest, *, guest_path: str, base: str | None, spool: Path) -> ExportedPatch:
    """Make a patch of everything done in the workspace since it was copied (or since `base`), and judge it.

    The guest's own index is left alone. Raises `Unsupported` when the guest has no git, `Invalid` for a bad base,
    `Denied` (from the verdict) for a patch that would do more than change files of the tree.
    """
    if base is not None and _COMMIT.fullmatch(base) is None:
        raise Invalid(f"{ascii(base)[:80]} is not a full commit id", hint="`git rev-parse` gives one")
    try:
        since = base or await _text(guest, guest_path, ["rev-parse", "--verify", "--quiet", f"{BASE_REF}^{{commit}}"])
        await _run(guest, guest_path, ["--version"])
    except NotFound as error:
        raise Unsupported(
            "there is no git in the guest", hint="use an image with git, or copy files out with `scp`"
        ) from error
    if _COMMIT.fullmatch(since) is None:
        raise Failed("the guest gave no usable commit id", hint="give one with --base-commit")
    try:
        await _run(guest, guest_path, ["read-tree", since])
        await _run(guest, guest_path, ["add", "--all", "--", "."])
        size_bytes = await _spool(guest, guest_path, since, spool)
    finally:
        await _remove_index(guest, guest_path)
    with spool.open("rb") as patch:
        verdict = judge_patch(patch, size_bytes=size_bytes)
    return ExportedPatch(path=spool, size_bytes=size_bytes, base=since, verdict=verdict)


async def _spool(guest: Guest, guest_path: str, since: str, spool: Path) -> int:
    size_bytes = 0
    with spool.open("xb") as file:
        async with _program(guest, guest_path, [*_DIFF, since]) as program:
            async for data in program.output():
                size_bytes += len(data)
                if size_bytes > PATCH_LIMIT_BYTES:
                    raise Failed(
                        f"the patch is larger than {PATCH_LIMIT_BYTES >> 20} MiB",
                        hint="add what was generated to .gitignore in the guest",
                    )
                _write(file, data)
            _check(await program.ended(), "diff")
    return size_bytes


def _write(file: BinaryIO, data: bytes) -> None:
    file.write(data)


async def _remove_index(guest: Guest, guest_path: str) -> None:
    """Take the temporary index away again; a guest that lost its channel keeps it, which harms nobody."""
    try:
        async with guest.program(
            ["rm", "-f", _INDEX, f"{_INDEX}.lock"], cwd=guest_path, environment=_environment()
        ) as program:
            await program.ended()
    except BangerError:
        return


async def _text(guest: Guest, guest_path: str, arguments: Sequence[str]) -> str:
    said = b""
    async with _program(guest, guest_path, arguments) as program:
        async for data in program.output():
            said = (said + data)[:4096]
        _check(await program.ended(), arguments[0])
    return said.decode("ascii", "replace").strip()


async def _run(guest: Guest, guest_path: str, arguments: Sequence[str]) -> None:
    async with _program(guest, guest_path, arguments) as program:
        async for _ in program.output():
            pass
        _check(await program.ended(), arguments[0])


def _program(guest: Guest, guest_path: str, arguments: Sequence[str]) -> AbstractAsyncContextManager[RunningProgram]:
    return guest.program([*_GIT, *arguments], cwd=guest_path, environment=_environment())


def _environment() -> dict[str, str]:
    return {"GIT_INDEX_FILE": _INDEX, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C.UTF-8", "GIT_CONFIG_NOSYSTEM": "1"}


def _check(ended: Ended, what: str) -> None:
    if ended.status != 0:
        said = printable(ended.stderr.strip().splitlines()[-1] if ended.stderr.strip() else b"", limit=300)
        raise Failed(f"git {what} failed in the guest: {said or f'status {ended.status}'}")
