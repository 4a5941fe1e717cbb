"""Whether a repository on the host has moved on since its copy was made."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from banger.core.errors import BangerError
from banger.workspace.git import git

_DEADLINE_S: Final = 2.0


async def read_moved(source: Path, known: str | None, *, start: str = "HEAD") -> str | None:
    """The commit of `start` in `source`, if it is not `known`. A courtesy: it never fails."""
    try:
        arguments = ["rev-parse", "--verify", "--quiet", "--end-of-options", f"{start}^{{commit}}"]
        found = await git(arguments, cwd=source, accepted=(0, 1, 128), timeout_s=_DEADLINE_S)
    except (BangerError, OSError):
        return None
    head = found.stdout.decode("ascii", "replace").strip()
    return head if head and head != known and found.returncode == 0 else None
