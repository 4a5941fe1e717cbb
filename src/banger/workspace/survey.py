"""Asking what was done in a guest since its workspace was last brought up to date, and bringing it up to date again.

Both are programs of a shell and git in the guest; what they say is the guest's word, and only decides about the guest.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from banger.core.errors import BangerError, Failed, Invalid, NotFound, Unsupported
from banger.core.untrusted import printable
from banger.workspace.export import Ended, Guest
from banger.workspace.guest_git import BASE_REF
from banger.workspace.update import GuestChange

INCOMING: Final = b"banger-incoming"
INCOMING_PARTIAL: Final = b"banger-incoming.partial"
ANSWER_LIMIT_BYTES: Final = 64 << 20
CHANGES_LIMIT: Final = 200_000
_OID: Final = re.compile(rb"[0-9a-f]{40}|[0-9a-f]{64}")
_RAW: Final = re.compile(rb":[0-7]{6} ([0-7]{6}) [0-9a-f]+ ([0-9a-f]{40}|[0-9a-f]{64}) [A-Z][0-9]*")
_NO_GIT, _NO_BASE, _NO_BASE_TREE, _NO_FILES, _BUSY = 101, 102, 103, 104, 105

_BEGINNING: Final = r"""
command -v git >/dev/null 2>&1 || exit 101
rm -rf .git/banger-incoming.partial
run() {
    git -c core.quotePath=true -c core.fsmonitor=false -c core.hooksPath=/dev/null -c core.safecrlf=false \
        -c gc.auto=0 -c safe.directory='*' "$@"
}
[ -e .git/index.lock ] && exit 105
"""

# As an export does it: on an index of its own, that begins as a copy of the guest's. What is printed: HEAD, the branch
# it is on, the tip of the branch that was asked for, each on a line and perhaps empty, and what differs from the base.
SURVEY: Final = (
    _BEGINNING
    + r"""
base=$1 branch=$2
rm -rf .git/banger-incoming
GIT_INDEX_FILE=.git/banger-survey-index-$$
export GIT_INDEX_FILE
trap 'rm -f "$GIT_INDEX_FILE" "$GIT_INDEX_FILE.lock"' EXIT
trap 'exit 129' HUP INT TERM
run rev-parse --verify --quiet "$base^{commit}" >/dev/null || exit 102
printf '%s\n' "$(run rev-parse --verify --quiet 'HEAD^{commit}')"
printf '%s\n' "$(run symbolic-ref --quiet HEAD)"
printf '%s\n' "$(run rev-parse --verify --quiet "refs/heads/$branch^{commit}")"
cp -p .git/index "$GIT_INDEX_FILE" 2>/dev/null
run read-tree --reset "$base" >&2 || { rm -f "$GIT_INDEX_FILE"; run read-tree "$base" >&2; } || exit 103
run -c advice.addEmbeddedRepo=false add --all -- . >&2 || exit 104
run diff-index --cached --raw --no-abbrev -z --no-renames --no-relative "$base" --
"""
)

# In this order, because what fails first must not have touched a file. `xargs -r` does not exist everywhere. The index
# forgets files that come anew: one of the same second and size as the old one would count as unchanged.
APPLY: Final = (
    _BEGINNING
    + r"""
base=$1 head=$2 branch=$3 index_tree=$4
incoming=.git/banger-incoming
for file in "$incoming"/pack-*.pack; do
    [ -e "$file" ] || continue
    mv -f "$file" "${file%.pack}.idx" .git/objects/pack/ || exit 106
done
[ -e "$incoming/shallow" ] && { mv -f "$incoming/shallow" .git/shallow || exit 106; }
[ -n "$head" ] && [ -n "$branch" ] && { run update-ref -m 'banger: prepared' "refs/heads/$branch" "$head" || exit 107; }
if [ -n "$branch" ]; then
    run symbolic-ref -m 'banger: prepared' HEAD "refs/heads/$branch" || exit 107
else
    run update-ref -m 'banger: prepared' --no-deref HEAD "$head" || exit 107
fi
run update-ref refs/banger/base "$base" || exit 107
for name in exclude attributes; do
    [ -e "$incoming/$name" ] && mv -f "$incoming/$name" ".git/info/$name"
done
[ -s "$incoming/sent" ] && { run update-index --force-remove -z --stdin <"$incoming/sent" || exit 109; }
run read-tree --reset "$index_tree" || exit 109
[ -s "$incoming/remove" ] && { xargs -0 rm -f -- <"$incoming/remove" || exit 108; }
[ -s "$incoming/directories" ] && xargs -0 rmdir -- <"$incoming/directories" 2>/dev/null
[ -s "$incoming/clear" ] && { xargs -0 rm -rf -- <"$incoming/clear" || exit 108; }
exit 0
"""
)

# Files that were placed are read once, so that nobody has to wait for that later.
FINISH: Final = (
    _BEGINNING
    + r"""
run update-index -q --refresh >/dev/null
rm -rf .git/banger-incoming
"""
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """The guest's HEAD, the branch it is on, the tip of the branch that was asked for, and what was changed."""

    head: str | None
    branch: str | None
    tip: str | None
    changes: tuple[GuestChange, ...]


async def survey(guest: Guest, *, guest_path: str, base: str, branch: str | None) -> Survey:
    """Ask the guest. Raises `Unsupported` when it has no git, `Failed` when its repository is not what was sent."""
    said = await _run(guest, guest_path, SURVEY, [base, branch or "\x7f"])
    return await asyncio.to_thread(parse_survey, said)


async def apply(
    guest: Guest, *, guest_path: str, base: str, head: str | None, branch: str | None, index_tree: str
) -> None:
    """Have the guest apply `.git/banger-incoming`, except for the files themselves. Raises `Failed`."""
    await _run(guest, guest_path, APPLY, [base, head or "", branch or "", index_tree])


async def finish(guest: Guest, *, guest_path: str) -> None:
    """Clean up once the files are in place. Raises `Failed`."""
    await _run(guest, guest_path, FINISH, [])


async def discard(guest: Guest, *, guest_path: str) -> None:
    """Remove what is in `.git/banger-incoming`."""
    script = "rm -rf .git/banger-incoming .git/banger-incoming.partial"
    await _run(guest, guest_path, script, [])


async def clear(guest: Guest, *, guest_path: str) -> None:
    """Remove a workspace with all that is in it."""
    await _run(guest, "/", 'rm -rf -- "$1"', [guest_path])


def parse_survey(said: bytes) -> Survey:
    """Parse the guest's answer. Raises `Failed`."""
    lines = said.split(b"\n", 3)
    if len(lines) != 4:
        raise _nonsense()
    head, branch, tip, rest = lines
    changes: list[GuestChange] = []
    records = _records(rest)
    for described in records:
        match, path = _RAW.fullmatch(described), next(records, b"")
        if match is None or not path:
            raise _nonsense()
        if len(changes) == CHANGES_LIMIT:
            raise _too_much()
        changes.append(GuestChange(path, int(match[1], 8), bytes.fromhex(match[2].decode())))
    name = branch.decode("utf-8", "surrogateescape")
    return Survey(
        head=_parse_oid(head),
        branch=name.removeprefix("refs/heads/") if name.startswith("refs/heads/") else None,
        tip=_parse_oid(tip),
        changes=tuple(changes),
    )


def _records(said: bytes) -> Iterator[bytes]:
    """What ends with a NUL, one after the other: all of them at once could be millions. Raises `Failed`."""
    start = 0
    while (end := said.find(b"\0", start)) >= 0:
        yield said[start:end]
        start = end + 1
    if start != len(said):
        raise _nonsense()


async def _run(guest: Guest, guest_path: str, script: str, arguments: Sequence[str]) -> bytes:
    said = bytearray()
    argv = ["sh", "-c", script, "banger-prepare", *arguments]
    try:
        async with guest.program(argv, cwd=guest_path, environment=_ENVIRONMENT) as program:
            async for data in program.output():
                said += data
                if len(said) > ANSWER_LIMIT_BYTES:
                    raise _too_much()
            ended = await program.ended()
    except NotFound as error:
        raise Unsupported("there is no shell in the guest", hint="use an image with a shell and git") from error
    except Invalid as error:
        raise Failed(f"{printable(guest_path)} is no longer a directory in the guest", hint=_AGAIN) from error
    if ended.status != 0:
        raise _explain(ended)
    return bytes(said)


_AGAIN: Final = "--overwrite drops what was done there and copies everything again"
_ENVIRONMENT: Final[Mapping[str, str]] = {
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C.UTF-8",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_COMMITTER_NAME": "banger",
    "GIT_COMMITTER_EMAIL": "banger@localhost",
}


def _parse_oid(text: bytes) -> str | None:
    if text and _OID.fullmatch(text) is None:
        raise _nonsense()
    return text.decode() or None


def _too_much() -> Failed:
    return Failed(
        "more was changed in the guest than can be listed", hint="add what was generated to .gitignore in the guest"
    )


def _nonsense() -> Failed:
    return Failed("git in the guest gave an answer that git does not give", hint="--overwrite copies everything again")


def _explain(ended: Ended) -> BangerError:
    if ended.status == _NO_GIT:
        return Unsupported("there is no git in the guest to say what was changed there", hint=_AGAIN)
    if ended.status == _NO_BASE:
        return Failed(f"the workspace in the guest has lost {BASE_REF}, what it was copied from", hint=_AGAIN)
    if ended.status == _BUSY:
        return Failed(
            "git is at work in the guest's workspace", hint="try again, or remove .git/index.lock there if it is not"
        )
    said = printable(ended.stderr.strip().splitlines()[0] if ended.stderr.strip() else b"", limit=300)
    return Failed(f"the guest could not be brought up to date: {said or f'status {ended.status}'}", hint=_AGAIN)
