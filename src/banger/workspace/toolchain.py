"""The tools that a repository asks for, which mise installs in the guest and starts commands with. Pure."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from typing import Final

TOOL_FILES: Final = ("mise.toml", ".mise.toml", ".tool-versions")
# On the PATH, or where its own installer puts it for root.
MISE_PROGRAMS: Final = ("mise", "/root/.local/bin/mise")
# A shell in between ends with 127 or 126 for a program that cannot be started, as it would without mise.
_THROUGH_MISE: Final = ("exec", "--", "sh", "-c", 'exec "$@"', "sh")


def through_mise(program: str, command: Sequence[str | bytes]) -> tuple[str | bytes, ...]:
    """The command with the tools of the directory that it runs in; `program` is one of `MISE_PROGRAMS`."""
    return (program, *_THROUGH_MISE, *command)


def mise_environment(workspace: str, *, network: bool) -> dict[str, str]:
    """What mise has to know of a workspace in a guest: it is to be trusted, and nothing can be downloaded.

    Without a network a missing tool is told and the command runs all the same, instead of failing after minutes.
    """
    offline = {} if network else {"MISE_OFFLINE": "1", "MISE_EXEC_AUTO_INSTALL": "0"}
    return {"MISE_TRUSTED_CONFIG_PATHS": workspace, "MISE_YES": "1", **offline}


def find_around(workspaces: Sequence[str], directory: str) -> str | None:
    """Which of these places in a guest `directory` is in, the innermost one."""
    place = posixpath.normpath(directory)
    around = [path for path in workspaces if place == path or place.startswith(path.rstrip("/") + "/")]
    return max(around, key=len, default=None)


def find_tool_files(paths: Mapping[bytes, object] | Sequence[bytes]) -> tuple[str, ...]:
    """Which files at the top of a repository tell of tools."""
    return tuple(name for name in TOOL_FILES if name.encode() in paths)
