"""Debian packages downloaded and verified by apt with a configuration, lists and a cache of our own.

Nothing of the host's apt is read but its mirrors and proxies, and nothing of it is written: hooks, pins and sources
that somebody configured on the host have no part in what banger runs.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from banger.core.debian import find_mirrors, render_apt_conf, render_sources
from banger.core.errors import Failed, NotFound
from banger.core.processes import proxy_environment, run

_DEADLINE_S: Final = 900.0
_HINT: Final = "see whether this host reaches Debian's mirror: `apt-get update` uses the same one"
_PACKAGE: Final = re.compile(r"linux-image-[a-z0-9][a-z0-9+.-]{1,100}")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A package that apt would download, and its size."""

    name: str
    version: str
    size_bytes: int


def plan_apt_options(
    directory: Path, *, architecture: str, proxies: Sequence[tuple[str, str]]
) -> tuple[tuple[str, str], ...]:
    """The configuration of an apt that lives below `directory` (apt.conf(5)). `architecture` is Debian's word."""
    return (
        ("APT::Architecture", architecture),
        ("APT::Architectures", architecture),
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
    ) -> None:
        """Make the directory and what apt needs in it."""
        self._directory = directory
        for part in ("state/lists/partial", "cache/archives/partial", "packages"):
            (directory / part).mkdir(parents=True)
        (directory / "status").touch()
        (directory / "sources.list").write_text(render_sources(find_mirrors(host_sources, suite=suite), suite=suite))
        options = plan_apt_options(directory, architecture=architecture, proxies=proxies)
        (directory / "apt.conf").write_text(render_apt_conf(options))

    async def update(self) -> None:
        """Fetch the lists and check their signatures. Raises `CommandFailed`, `TimedOut`, `Unavailable`."""
        await self._run("apt-get", "-q", "update")

    async def find_kernel(self, meta_package: str) -> Candidate:
        """The kernel package that a meta package depends on. Raises `NotFound`."""
        name = find_dependency(await self._run("apt-cache", "show", "--no-all-versions", meta_package))
        return parse_candidate(await self._run("apt-cache", "show", "--no-all-versions", name))

    async def download(self, candidate: Candidate) -> Path:
        """The package's file; apt has compared it with the signed lists."""
        await self._run("apt-get", "-q", "download", f"{candidate.name}={candidate.version}")
        found = list((self._directory / "packages").glob("*.deb"))
        if len(found) != 1:
            raise Failed(f"apt downloaded {len(found)} packages instead of one", hint=_HINT)
        return found[0]

    async def _run(self, *argv: str) -> str:
        completed = await run(
            argv,
            environment={
                **proxy_environment(),
                "APT_CONFIG": os.fspath(self._directory / "apt.conf"),
                "LC_ALL": "C.UTF-8",
            },
            cwd=self._directory / "packages",
            timeout_s=_DEADLINE_S,
            hint=_HINT,
        )
        return completed.stdout.decode("utf-8", "replace")


def find_dependency(control: str) -> str:
    """The kernel package that a meta package's description depends on. Raises `NotFound`."""
    for line in control.splitlines():
        if line.startswith("Depends:"):
            for dependency in line.removeprefix("Depends:").split(","):
                name = dependency.split()[0] if dependency.split() else ""
                if _PACKAGE.fullmatch(name):
                    return name
    raise NotFound("Debian's kernel meta package names no kernel", hint=_HINT)


def parse_candidate(control: str) -> Candidate:
    """Name, version and size out of a package's description. Raises `NotFound`."""
    fields = {name: value.strip() for name, _, value in (line.partition(":") for line in control.splitlines())}
    name, version, size = fields.get("Package", ""), fields.get("Version", ""), fields.get("Size", "")
    if not _PACKAGE.fullmatch(name) or not re.fullmatch(r"[0-9A-Za-z.+:~-]{1,100}", version) or not size.isdecimal():
        raise NotFound("Debian's archive does not describe the kernel package", hint=_HINT)
    return Candidate(name, version, int(size))
