"""What a fetched branch changes, as a patch that is judged like every other one: for telling, not for applying."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from banger.core.errors import BangerError
from banger.core.threads import run_in_thread
from banger.workspace.export import PATCH_LIMIT_BYTES
from banger.workspace.fetching import GIT_DEADLINE_S, MEMORY_LIMIT_BYTES, FetchedBranch, Quarantine
from banger.workspace.git import git
from banger.workspace.verdict import PatchVerdict, judge_file

log = logging.getLogger(__name__)

# As git in the guest makes one for `export`.
_SETTINGS: Final = ("core.quotePath=true", "diff.suppressBlankEmpty=false")
_OPTIONS: Final = (
    *("-r", "--patch", "--binary", "--full-index", "--unified=3", "--inter-hunk-context=0", "--no-color"),
    *("--no-ext-diff", "--no-textconv", "--no-renames", "--src-prefix=a/", "--dst-prefix=b/", "--submodule=short"),
)
# The tree with nothing in it, by the length of ids (gitglossary(7), "empty tree").
_NO_TREE: Final = {
    40: "4b825dc642cb6eb9a060e54bf8d69288fbee4904",
    64: "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321",
}


@dataclass(frozen=True, slots=True)
class FetchedPatch:
    """A patch in the quarantine, and what was found out about it."""

    path: Path
    verdict: PatchVerdict


async def make_patch(
    quarantine: Quarantine, branch: FetchedBranch, *, since: str | None, limit_bytes: int = PATCH_LIMIT_BYTES
) -> FetchedPatch | None:
    """What the branch changes: of a new one since the commit that was copied, `since`, else since it was fetched last.

    None when that cannot be told: it is too large, or the commit is not here any more.
    """
    base = branch.old or since or _NO_TREE[len(branch.guest.commit)]
    path = quarantine.directory / f"{branch.guest.commit}.patch"
    settings = [word for setting in _SETTINGS for word in ("-c", setting)]
    try:
        await git(
            [*settings, "diff-tree", *_OPTIONS, f"--output={path}", base, branch.guest.commit, "--"],
            cwd=quarantine.directory,
            environment={"GIT_DIR": str(quarantine.directory)},
            timeout_s=GIT_DEADLINE_S,
            memory_limit_bytes=MEMORY_LIMIT_BYTES,
            file_limit_bytes=limit_bytes,
        )
        return FetchedPatch(path, await run_in_thread(partial(judge_file, path)))
    except BangerError as error:
        log.info("what %s changes is not told: %s", branch.name, error.summary)
        return None
