"""The tools that a repository asks for: mise installs them in the guest, and starts commands with them."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from banger.workspace.git import git

TOOL_FILES: Final = ("mise.toml", ".mise.toml", ".tool-versions")
# On the PATH, or where its own installer puts it for root.
MISE_PROGRAMS: Final = ("mise", "/root/.local/bin/mise")
# A shell in between ends with 127 or 126 for a program that cannot be started, as it would without mise.
_THROUGH_MISE: Final = ("exec", "--", "sh", "-c", 'exec "$@"', "sh")

# Exits with 0 where the guest has mise.
HAS_MISE: Final = ("sh", "-c", "command -v mise || test -x /root/.local/bin/mise")
_SET_UP: Final = """\
tools=$1
shift
for program in mise /root/.local/bin/mise; do
    command -v "$program" >/dev/null || continue
    "$program" trust --all --yes >/dev/null 2>&1 # which fails where there is nothing to trust
    [ -z "$tools" ] || "$program" install --yes || exit
    [ $# -gt 0 ] || exit 0
    exec "$program" exec -- "$@"
done
[ -z "$tools" ] || { echo 'there is no mise in this guest' >&2; exit 127; }
exec "$@"
"""


def plan_set_up(*, tools: bool, command: Sequence[str]) -> tuple[str, ...]:
    """What installs a workspace's tools, if that is wanted, and then runs `command` with them, if there is one."""
    return ("sh", "-c", _SET_UP, "banger", "yes" if tools else "", *command)


def through_mise(program: str, command: Sequence[str | bytes]) -> tuple[str | bytes, ...]:
    """The command with the tools of the directory that it runs in; `program` is one of `MISE_PROGRAMS`."""
    return (program, *_THROUGH_MISE, *command)


def mise_environment(workspace: str, *, network: bool) -> dict[str, str]:
    """What mise has to know of a workspace in a guest: it is to be trusted, and nothing can be downloaded.

    Without a network a missing tool is reported and the command runs anyway, instead of failing after minutes.
    """
    offline = {} if network else {"MISE_OFFLINE": "1", "MISE_EXEC_AUTO_INSTALL": "0"}
    return {"MISE_TRUSTED_CONFIG_PATHS": workspace, "MISE_YES": "1", **offline}


def find_around(workspaces: Sequence[str], directory: str) -> str | None:
    """The innermost of these places in a guest that contains `directory`."""
    place = posixpath.normpath(directory)
    around = [path for path in workspaces if place == path or place.startswith(path.rstrip("/") + "/")]
    return max(around, key=len, default=None)


async def list_tool_files(top: Path, *, include_untracked: bool = False) -> tuple[str, ...]:
    """The tool files at the top of a repository that are copied. Raises what `git` does.

    They are not read here: mise does that, in the guest.
    """
    untracked = ["--others", "--exclude-standard"] if include_untracked else []
    listed = await git(["ls-files", "-z", "--cached", *untracked, "--", *TOOL_FILES], cwd=top)
    tracked = listed.stdout.split(b"\0")
    return tuple(name for name in TOOL_FILES if name.encode() in tracked and os.path.lexists(top / name))
