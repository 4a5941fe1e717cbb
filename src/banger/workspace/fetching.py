"""Fetching a guest's commits into the user's repository, by way of a bare repository that nothing else reads.

git in the guest makes a pack, which is spooled. Here it is indexed and checked object by object (`index-pack
--strict`), then every tree that a new commit brings is judged as a patch is: names, modes, link targets. Only then the
pack is added to the user's, and the branches are set.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from banger.core.errors import BangerError, Denied, Failed, Invalid, NotFound, Unsupported
from banger.core.files import make_private_directory, sync_directory
from banger.core.processes import CommandFailed, PrintedTooMuch
from banger.core.untrusted import printable
from banger.workspace.branches import GuestBranch, parse_branches, plan_branch
from banger.workspace.export import Guest, guest_environment
from banger.workspace.git import git
from banger.workspace.guest_git import format_sections, render_config
from banger.workspace.paths import PATH_LIMIT
from banger.workspace.quoting import quote
from banger.workspace.raw_diff import check_link_target, parse_raw_diff, refused_commit
from banger.workspace.repository import Repository

PACK_LIMIT_BYTES: Final = 256 << 20
COMMIT_LIMIT: Final = 5_000
LINK_LIMIT: Final = 5_000
MEMORY_LIMIT_BYTES: Final = 3 << 30
GIT_DEADLINE_S: Final = 600.0
_ANSWER_LIMIT_BYTES: Final = 64 << 10
_NO_GIT, _NO_PACK = 101, 102
_IDENTITY: Final = {"GIT_COMMITTER_NAME": "banger", "GIT_COMMITTER_EMAIL": "banger@localhost"}

_LIST: Final = r"""
command -v git >/dev/null 2>&1 || exit 101
run() { git -c core.fsmonitor=false -c core.hooksPath=/dev/null -c safe.directory='*' "$@"; }
run symbolic-ref --quiet HEAD >/dev/null || run rev-parse --verify --quiet HEAD | sed 's/$/ HEAD/'
run for-each-ref --count=51 --format='%(objectname) %(refname:lstrip=2)' refs/heads/
"""
_PACK: Final = r"""
run() { git -c core.fsmonitor=false -c core.hooksPath=/dev/null -c safe.directory='*' "$@"; }
for have in $BANGER_HAVE; do
    run cat-file -e "$have^{commit}" 2>/dev/null && set -- "$@" "^$have"
done
printf '%s\n' "$@" | run pack-objects -q --revs --stdout --delta-base-offset --no-reuse-object || exit 102
"""


@dataclass(frozen=True, slots=True)
class FetchedBranch:
    """A quarantined branch of the guest: its name here, and the commit that it had here before."""

    guest: GuestBranch
    name: str
    old: str | None
    commits: int

    @property
    def state(self) -> str:
        if self.old == self.guest.commit:
            return "unchanged"
        return "new" if self.old is None else "updated"


@dataclass(frozen=True, slots=True)
class Quarantine:
    """A bare repository with the objects of a guest, all of them checked, and branches that are ready to be set."""

    directory: Path
    branches: tuple[FetchedBranch, ...]


async def list_branches(guest: Guest, guest_path: str) -> list[GuestBranch]:
    """The guest's branches. Raises `Unsupported` without git there, `Failed`, `Denied`."""
    said = bytearray()
    try:
        argv = ["sh", "-c", _LIST, "banger-fetch"]
        async with guest.program(argv, cwd=guest_path, environment=guest_environment()) as program:
            async for data in program.output():
                said += data
                if len(said) > _ANSWER_LIMIT_BYTES:
                    raise Failed("the guest says too much about its branches", hint="delete some there")
            ended = await program.ended()
    except NotFound as error:
        raise _no_git() from error
    if ended.status == _NO_GIT:
        raise _no_git()
    return parse_branches(bytes(said))


async def fetch_quarantined(
    guest: Guest,
    *,
    guest_path: str,
    vm: str,
    repository: Repository,
    have: Sequence[str],
    directory: Path,
    force: bool,
) -> Quarantine:
    """Get the guest's branches into an empty `directory` and check everything about them.

    `have` are commits that the user's repository has, and the guest perhaps too. Branches without a new commit that are
    not here yet are left out. Raises `Denied` for what would do more than add commits to browse, `Failed` for a branch
    that was rewritten unless it is to be forced, or that is checked out.
    """
    branches = await list_branches(guest, guest_path)
    make_private_directory(directory)
    spool = directory / "incoming.pack"
    await _spool(guest, guest_path, branches, have, spool)
    await asyncio.to_thread(_make_bare, directory, repository)
    await _index(directory, spool)
    known = await _list_known(repository)
    found: list[FetchedBranch] = []
    for branch in branches:
        if not await _has(directory, branch.commit):
            raise Denied(f"the guest did not send its branch {printable(branch.name, limit=80)}", hint="try again")
        commits = await _list_commits(directory, [branch.commit], have)
        name = plan_branch(vm, branch.name)
        old = known.get(f"refs/heads/{name}")
        if commits or old is not None:
            found.append(FetchedBranch(branch, name, old, len(commits)))
    await check_commits(directory, await _list_commits(directory, [one.guest.commit for one in found], have))
    await _check_moves(directory, repository, found, force=force)
    return Quarantine(directory, tuple(found))


async def check_commits(directory: Path, commits: Sequence[str]) -> None:
    """Judge what each commit changes. Raises `Denied`."""
    if not commits:
        return
    options = ["--stdin", "-r", "-m", "--root", "--raw", "-z", "--no-renames", "--no-abbrev", "--no-ext-diff"]
    try:
        listed = await _git(
            directory,
            ["diff-tree", *options, "--no-textconv", "--ignore-submodules=none"],
            stdin="".join(f"{commit}\n" for commit in commits).encode(),
        )
    except PrintedTooMuch as error:  # a tree of the same trees: a few objects, and more files than there are atoms
        raise Denied("the commits change more than can be looked at", hint="`apply` brings only the files") from error
    links = await asyncio.to_thread(parse_raw_diff, listed)
    if len(links) > LINK_LIMIT:
        raise Denied(f"the commits bring more than {LINK_LIMIT} symbolic links", hint="`apply` brings only the files")
    if links:
        await _check_targets(directory, links)


async def _check_targets(directory: Path, links: Sequence[tuple[bytes, str]]) -> None:
    """Read them once it is known that they are short: a small pack may hold a blob of any size."""
    asked = "".join(f"{oid}\n" for _, oid in links).encode()
    sizes = (await _git(directory, ["cat-file", "--batch-check=%(objectsize)"], stdin=asked)).split(b"\n")
    for (path, _), size in zip(links, sizes, strict=False):
        if not size.isdigit() or int(size[:20]) > PATH_LIMIT:
            raise refused_commit(path, "it has no usable target")
    said, position = await _git(directory, ["cat-file", "--batch=%(objectsize)"], stdin=asked), 0
    for path, _ in links:
        begin = said.index(b"\n", position) + 1
        end = begin + int(said[position : begin - 1])
        check_link_target(path, said[begin:end])
        position = end + 1


async def release(repository: Repository, quarantine: Quarantine) -> None:
    """Add the objects to the user's and set the branches, all of them or none."""
    moved = [branch for branch in quarantine.branches if branch.state != "unchanged"]
    if not moved:
        return
    await asyncio.to_thread(_install_packs, quarantine.directory, repository.common_directory)
    none = "0" * len(moved[0].guest.commit)
    orders = "".join(
        f"update refs/heads/{branch.name}\0{branch.guest.commit}\0{branch.old or none}\0" for branch in moved
    )
    message = "banger: fetched from a guest"
    try:
        await git(
            ["update-ref", "-m", message, "-z", "--create-reflog", "--stdin"],
            cwd=repository.top,
            environment=_IDENTITY,
            stdin=orders.encode(),
        )
    except CommandFailed as error:
        error.hint = "is there a branch called banger, or is another program at work in the repository?"
        raise


async def _spool(
    guest: Guest, guest_path: str, branches: Sequence[GuestBranch], have: Sequence[str], spool: Path
) -> None:
    size_bytes = 0
    argv = ["sh", "-c", _PACK, "banger-fetch", *dict.fromkeys(branch.commit for branch in branches)]
    environment = {**guest_environment(), "BANGER_HAVE": " ".join(have)}
    with spool.open("xb") as file:
        if not branches:
            return
        async with guest.program(argv, cwd=guest_path, environment=environment) as program:
            async for data in program.output():
                size_bytes += len(data)
                if size_bytes > PACK_LIMIT_BYTES:
                    raise Failed(
                        f"the commits are larger than {PACK_LIMIT_BYTES >> 20} MiB",
                        hint="`banger vm workspace apply` brings only the files",
                    )
                await asyncio.to_thread(file.write, data)
            ended = await program.ended()
    if ended.status != 0:
        said = printable(ended.stderr.strip().splitlines()[-1] if ended.stderr.strip() else b"", limit=300)
        raise Failed(f"git pack-objects failed in the guest: {said}", hint="try `banger vm exec -- git fsck` there")


def _make_bare(directory: Path, repository: Repository) -> None:
    for name in ("objects/info", "objects/pack", "refs"):
        (directory / name).mkdir(parents=True)
    lent = os.fsencode(repository.common_directory / "objects")
    (directory / "objects/info/alternates").write_bytes(quote(lent, quote_path=False) + b"\n")
    (directory / "HEAD").write_text("ref: refs/heads/none\n")
    core = [("bare", "true"), ("bigFileThreshold", "16m")]
    core += [("packedGitLimit", "512m"), ("packedGitWindowSize", "64m")]  # address space is limited
    pack = ("pack", [("threads", "1"), ("deltaCacheSize", "64m"), ("windowMemory", "256m")])
    (directory / "config").write_text(render_config([*format_sections(repository, core), pack]))
    shallow = repository.common_directory / "shallow"
    if repository.shallow and shallow.is_file():
        shutil.copyfile(shallow, directory / "shallow")


async def _index(directory: Path, spool: Path) -> None:
    if not spool.stat().st_size:
        return
    place = directory / "objects/pack/pack-incoming.pack"
    spool.rename(place)
    try:
        await _git(directory, ["index-pack", "--strict", str(place)])
    except CommandFailed as error:
        said = error.completed.stderr.strip().splitlines()
        raise Denied(
            f"the commits from the guest are refused: {printable(said[-1] if said else b'', limit=200)}",
            hint="`banger vm exec -- git fsck` says more; `banger vm workspace apply` brings only the files",
        ) from error


async def _list_known(repository: Repository) -> dict[str, str]:
    """The user's branches that came from guests before."""
    listed = await git(["for-each-ref", "--format=%(objectname) %(refname)", "refs/heads/banger/"], cwd=repository.top)
    lines = (line.partition(" ") for line in listed.stdout.decode("utf-8", "surrogateescape").splitlines())
    return {name: oid for oid, _, name in lines}


async def _list_commits(directory: Path, tips: Sequence[str], have: Sequence[str]) -> list[str]:
    if not tips:
        return []
    words = [*tips, *(f"^{oid}" for oid in have)]
    try:
        listed = await _git(
            directory, ["rev-list", f"--max-count={COMMIT_LIMIT + 1}", "--end-of-options", *words, "--"]
        )
    except CommandFailed as error:
        raise Denied("the commits from the guest are not complete", hint="`banger vm workspace apply` works") from error
    commits = listed.decode("ascii", "replace").split()
    if len(commits) > COMMIT_LIMIT:
        raise Denied(f"the guest has more than {COMMIT_LIMIT} new commits", hint="`apply` brings only the files")
    return commits


async def _has(directory: Path, commit: str) -> bool:
    try:
        said = await _git(directory, ["cat-file", "-t", commit])
    except BangerError:
        return False
    return said.strip() == b"commit"


async def _check_moves(
    directory: Path, repository: Repository, branches: Sequence[FetchedBranch], *, force: bool
) -> None:
    worktrees = await git(["worktree", "list", "--porcelain", "-z"], cwd=repository.top)
    out = {line[len(b"branch ") :] for line in worktrees.stdout.split(b"\0") if line.startswith(b"branch ")}
    for branch in branches:
        if branch.state == "unchanged":
            continue
        if f"refs/heads/{branch.name}".encode() in out:
            raise Failed(f"{branch.name} is checked out here", hint="check out another branch, and fetch again")
        if branch.old is None or force:
            continue
        try:
            await _git(directory, ["merge-base", "--is-ancestor", branch.old, branch.guest.commit])
        except CommandFailed as error:
            raise Failed(
                f"{branch.name} was rewritten in the guest, or has commits of your own here",
                hint="keep what is here under another name (`git branch -m`), or replace it with --force",
            ) from error


def _install_packs(directory: Path, common_directory: Path) -> None:
    """Copy packs with their indexes last, which is when git begins to see them; blocking."""
    place = common_directory / "objects" / "pack"
    place.mkdir(exist_ok=True)
    for index in (directory / "objects/pack").glob("*.idx"):
        pack = index.with_suffix(".pack")
        with pack.open("rb") as file:
            file.seek(-32, os.SEEK_END)
            name = f"pack-{file.read().hex()[-40:]}"
        for source, suffix in ((pack, ".pack"), (index, ".idx")):
            target = place / f"{name}{suffix}"
            draft = place / f"tmp_{suffix[1:]}_banger_{os.getpid()}_{name}"
            if target.exists():
                continue
            try:
                with source.open("rb") as old, draft.open("xb") as new:
                    shutil.copyfileobj(old, new)
                    new.flush()
                    os.fsync(new.fileno())
                    os.fchmod(new.fileno(), 0o444)
                draft.rename(target)
            finally:
                draft.unlink(missing_ok=True)
    sync_directory(place)


async def _git(directory: Path, arguments: Sequence[str], *, stdin: bytes | None = None) -> bytes:
    done = await git(
        arguments,
        cwd=directory,
        environment={"GIT_DIR": os.fspath(directory)},
        stdin=stdin,
        timeout_s=GIT_DEADLINE_S,
        memory_limit_bytes=MEMORY_LIMIT_BYTES,
    )
    return done.stdout


def _no_git() -> Unsupported:
    return Unsupported("there is no git in the guest", hint="`banger vm cp` copies files out")


def check_have(commits: Sequence[str | None]) -> list[str]:
    """Full ids of commits, without those that are missing. Raises `Invalid` for something else."""
    found = [commit for commit in commits if commit]
    if any(not commit.isalnum() or len(commit) not in (40, 64) for commit in found):
        raise Invalid("the workspace was copied from a commit with a strange id", hint="`banger vm workspace prepare`")
    return list(dict.fromkeys(found))
