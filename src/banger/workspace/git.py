"""The host's git, as we run it: nothing that a repository brings along is executed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from banger.core.processes import Completed, run

_SAFE_OPTIONS: Final = (
    *("-c", "core.hooksPath=/dev/null"),
    *("-c", "core.fsmonitor=false"),
    *("-c", "core.attributesFile=/dev/null"),
    *("-c", "core.pager=cat"),
    *("-c", "core.untrackedCache=false"),
    *("-c", "protocol.allow=never"),
    *("-c", "gc.auto=0"),
    *("-c", "maintenance.auto=false"),
    *("-c", "core.splitIndex=false"),
)
ENVIRONMENT: Final[Mapping[str, str]] = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_ATTR_NOSYSTEM": "1",
    "LC_ALL": "C.UTF-8",
}


async def git(
    arguments: Sequence[str | Path],
    *,
    cwd: Path,
    environment: Mapping[str, str] | None = None,
    stdin: bytes | None = None,
    accepted: Sequence[int] = (0,),
    timeout_s: float = 120.0,
) -> Completed:
    """Run git. Raises `CommandFailed`, `TimedOut`, `Unavailable` as `banger.core.processes.run` does."""
    return await run(
        ["git", *_SAFE_OPTIONS, *map(str, arguments)],
        cwd=cwd,
        environment={**ENVIRONMENT, **(environment or {})},
        stdin=stdin,
        accepted=accepted,
        timeout_s=timeout_s,
        hint="does `git status` work there?",
    )
