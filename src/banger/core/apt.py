"""Debian packages downloaded and verified by apt with a configuration, lists and a cache of our own.

Only mirrors and proxies are read from the host's apt, and nothing of it is written: hooks, pins and sources
that somebody configured on the host do not affect what banger runs.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from banger.core.debian import find_mirrors, render_apt_conf, render_sources
from banger.core.processes import proxy_environment, run

_DEADLINE_S: Final = 900.0
HINT: Final = "see whether this host reaches Debian's mirror: `apt-get update` uses the same one"


def plan_apt_options(
    directory: Path, *, architecture: str, proxies: Sequence[tuple[str, str]]
) -> tuple[tuple[str, str], ...]:
    """The configuration of an apt that lives below `directory` (apt.conf(5)). `architecture` is Debian's word."""
    return (
        ("APT::Architecture", architecture),
        ("APT::Architectures", architecture),
        ("APT::Install-Recommends", "false"),
        ("APT::Sandbox::User", ""),  # another user could not reach the directory
        ("APT::Update::Error-Mode", "any"),
        ("Acquire::Languages", "none"),
        ("Acquire::Retries", "3"),
        ("Dir::Cache", f"{directory}/cache"),
        ("Dir::Etc::main", "/dev/null"),
        ("Dir::Etc::parts", "/dev/null"),
        ("Dir::Etc::preferences", "/dev/null"),
        ("Dir::Etc::preferencesparts", "/dev/null"),
        ("Dir::Etc::sourcelist", f"{directory}/sources.list"),
        ("Dir::Etc::sourceparts", "/dev/null"),
        ("Dir::State", f"{directory}/state"),
        ("Dir::State::status", f"{directory}/status"),
        *proxies,
    )


class Apt:
    """apt below a directory."""

    def __init__(
        self,
        directory: Path,
        *,
        suite: str,
        architecture: str,
        host_sources: Sequence[str],
        proxies: Sequence[tuple[str, str]],
        status: str = "",
    ) -> None:
        """Make the directory and what apt needs in it. `status` is what it takes for installed (dpkg's status file)."""
        self.directory = directory
        for part in ("state/lists/partial", "cache/archives/partial", "packages"):
            (directory / part).mkdir(parents=True)
        (directory / "status").write_text(status)
        (directory / "sources.list").write_text(render_sources(find_mirrors(host_sources, suite=suite), suite=suite))
        options = plan_apt_options(directory, architecture=architecture, proxies=proxies)
        (directory / "apt.conf").write_text(render_apt_conf(options))

    async def update(self) -> None:
        """Fetch the lists and check their signatures. Raises `CommandFailed`, `TimedOut`, `Unavailable`."""
        await self.run("apt-get", "-q", "update")

    async def download_missing(self, packages: Sequence[str]) -> list[Path]:
        """The files of packages and of their dependencies that are not installed, each compared with the signed lists.

        Raises `CommandFailed` where they cannot be installed together with what is there.
        """
        await self.run("apt-get", "-q", "-y", "--download-only", "--no-remove", "install", *packages)
        return sorted((self.directory / "cache" / "archives").glob("*.deb"))

    async def run(self, *argv: str) -> str:
        """Run one of apt's programs in the directory `packages`; its output."""
        completed = await run(
            argv,
            environment={
                **proxy_environment(),
                "APT_CONFIG": os.fspath(self.directory / "apt.conf"),
                "LC_ALL": "C.UTF-8",
            },
            cwd=self.directory / "packages",
            timeout_s=_DEADLINE_S,
            hint=HINT,
        )
        return completed.stdout.decode("utf-8", "replace")
