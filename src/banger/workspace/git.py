"""Running the host's git such that nothing in a repository is executed."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from banger.core.errors import Unavailable
from banger.core.processes import Completed, run
from banger.core.untrusted import printable

OLDEST_GIT: Final = (2, 39)
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
    # Directories that merely look like a repository are ignored: a guest may have made them.
    *("-c", "safe.bareRepository=explicit"),
    *("-c", "core.protectHFS=true"),
    *("-c", "core.protectNTFS=true"),
    *("-c", "core.alternateRefsCommand=true"),
    *("-c", "core.sshCommand=false"),
    *("-c", "core.askPass=true"),
    *("-c", "credential.helper="),
    *("-c", "submodule.recurse=false"),
    *("-c", "transfer.fsckObjects=true"),
    *("-c", "log.showSignature=false"),
    *("-c", "gpg.program=false"),
)
# What git could otherwise start: prompts, pagers, editors, ssh, and the transport that fetches a partial clone's rest.
_NOTHING_STARTS: Final[Mapping[str, str]] = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "true",
    "GIT_EDITOR": "true",
    "GIT_PAGER": "cat",
    "GIT_SSH_COMMAND": "false",
    "GIT_ALLOW_PROTOCOL": "",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_LITERAL_PATHSPECS": "1",
    "LC_ALL": "C.UTF-8",
}
_ONLY_THE_REPOSITORY: Final[Mapping[str, str]] = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null"}


async def git(
    arguments: Sequence[str | Path],
    *,
    cwd: Path,
    environment: Mapping[str, str] | None = None,
    stdin: bytes | None = None,
    accepted: Sequence[int] = (0,),
    timeout_s: float = 120.0,
    memory_limit_bytes: int | None = None,
    file_limit_bytes: int | None = None,
) -> Completed:
    """Run git. Raises `CommandFailed`, `TimedOut`, `Unavailable` as `banger.core.processes.run` does.

    `memory_limit_bytes` limits its address space (prlimit(1)), for objects that somebody else has made,
    and `file_limit_bytes` the size of what it writes.
    """
    limits = {"as": memory_limit_bytes, "fsize": file_limit_bytes}
    bounds = [f"--{name}={limit}" for name, limit in limits.items() if limit is not None]
    bounds = ["prlimit", *bounds, "--core=0"] if bounds else []
    return await run(
        [*bounds, "git", *_SAFE_OPTIONS, *map(str, arguments)],
        cwd=cwd,
        environment={**_NOTHING_STARTS, **_ONLY_THE_REPOSITORY, **(environment or {})},
        stdin=stdin,
        accepted=accepted,
        timeout_s=timeout_s,
        hint="does `git status` work there?",
    )


async def read_git_config(cwd: Path, pattern: str) -> dict[str, str]:
    """The settings in force at `cwd` whose lower-case names match `pattern`, including the user's configuration.

    Reading settings starts nothing, whatever they say. Of a setting with several values the last one is given.
    """
    found = await run(
        ["git", "config", "--null", "--get-regexp", pattern],
        cwd=cwd,
        environment=_NOTHING_STARTS,
        accepted=(0, 1),
        timeout_s=20.0,
    )
    settings: dict[str, str] = {}
    for record in found.stdout.split(b"\0")[:-1]:
        name, has_value, value = record.decode("utf-8", "surrogateescape").partition("\n")
        settings[name] = value if has_value else "true"
    return settings


async def find_excludes_files(cwd: Path) -> list[str]:
    """The user's own excludes files that exist; a repository cannot switch them off."""
    found = await run(
        ["git", "config", "--global", "--includes", "--type=path", "--get", "core.excludesFile"],
        cwd=cwd,
        environment=_NOTHING_STARTS,
        accepted=(0, 1),
        timeout_s=20.0,
    )
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.join(os.environ.get("HOME", "/"), ".config")
    paths = (os.fsdecode(found.stdout.removesuffix(b"\n")), os.path.join(home, "git", "ignore"))
    return [path for path in paths if path.startswith("/") and Path(path).is_file()]


async def check_git_version(cwd: Path) -> None:
    """Raise `Unavailable` unless the host's git is new enough for `apply` to refuse what we rely on it to refuse."""
    said = (await git(["version"], cwd=cwd)).stdout
    match = re.match(rb"git version (\d+)\.(\d+)", said)
    if match is None or (int(match[1]), int(match[2])) < OLDEST_GIT:
        raise Unavailable(
            f"{printable(said.strip(), limit=60)} is too old",
            hint="install git {}.{} or newer".format(*OLDEST_GIT),
        )
