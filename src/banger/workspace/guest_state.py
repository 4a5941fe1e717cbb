"""The state of a workspace's repository in the guest: git there is asked, and its answer checked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from banger.core.errors import Failed, NotFound, Unsupported
from banger.core.untrusted import printable
from banger.workspace.export import Guest, guest_environment

_ANSWER_LIMIT_BYTES: Final = 8192
_OID: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_BRANCH_LIMIT: Final = 250

_SCRIPT: Final = r"""
run() { git -c core.fsmonitor=false -c core.hooksPath=/dev/null -c safe.directory='*' "$@"; }
printf 'head %s\n' "$(run rev-parse --verify --quiet HEAD 2>/dev/null)"
printf 'branch %s\n' "$(run symbolic-ref --quiet --short HEAD 2>/dev/null)"
if [ -n "$1" ]; then set -- "^$1"; else set --; fi
printf 'commits %s\n' "$(run rev-list --count --end-of-options HEAD "$@" 2>/dev/null)"
"""


@dataclass(frozen=True, slots=True)
class GuestState:
    """HEAD and branch (None if there is none), and the number of commits made there; None if git cannot say."""

    head: str | None
    branch: str | None
    commits: int | None


async def read_guest_state(guest: Guest, *, guest_path: str, since: str | None) -> GuestState:
    """Ask git. `since` is the host's HEAD when the workspace was copied. Raises `Unsupported` without git, `Failed`."""
    said = bytearray()
    argv = ["sh", "-c", _SCRIPT, "banger-status", since or ""]
    try:
        async with guest.program(argv, cwd=guest_path, environment=guest_environment()) as program:
            async for data in program.output():
                said += data[: _ANSWER_LIMIT_BYTES - len(said)]
            await program.ended()
    except NotFound as error:
        raise Unsupported("there is no shell in the guest", hint="copy files out with `banger vm cp`") from error
    return parse_guest_state(bytes(said))


def parse_guest_state(said: bytes) -> GuestState:
    """The answer; raises `Failed` for one that our program would not have given."""
    lines = said.decode("utf-8", "surrogateescape").split("\n")
    fields = dict(line.partition(" ")[::2] for line in lines if line)
    if set(fields) != {"head", "branch", "commits"}:
        raise Failed(
            "the guest gave no sensible answer about its repository", hint="try `banger vm exec -- git status`"
        )
    head, branch, commits = fields["head"], fields["branch"], fields["commits"]
    return GuestState(
        head=head if _OID.fullmatch(head) else None,
        branch=printable(branch, limit=_BRANCH_LIMIT) or None,
        commits=int(commits) if commits.isascii() and commits.isdecimal() and len(commits) < 10 else None,
    )
