"""Which package of Debian's is its newest kernel."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from banger.core.apt import HINT, Apt
from banger.core.errors import Failed, NotFound

_PACKAGE: Final = re.compile(r"linux-image-[a-z0-9][a-z0-9+.-]{1,100}")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A package that apt would download, and its size."""

    name: str
    version: str
    size_bytes: int


class KernelApt(Apt):
    """apt that knows kernels."""

    async def find_kernel(self, meta_package: str) -> Candidate:
        """The kernel package that a meta package depends on. Raises `NotFound`."""
        name = find_dependency(await self.run("apt-cache", "show", "--no-all-versions", meta_package))
        return parse_candidate(await self.run("apt-cache", "show", "--no-all-versions", name))

    async def download(self, candidate: Candidate) -> Path:
        """The package's file; apt has compared it with the signed lists."""
        await self.run("apt-get", "-q", "download", f"{candidate.name}={candidate.version}")
        found = list((self.directory / "packages").glob("*.deb"))
        if len(found) != 1:
            raise Failed(f"apt downloaded {len(found)} packages instead of one", hint=HINT)
        return found[0]


def find_dependency(control: str) -> str:
    """The kernel package that a meta package's description depends on. Raises `NotFound`."""
    for line in control.splitlines():
        if line.startswith("Depends:"):
            for dependency in line.removeprefix("Depends:").split(","):
                name = dependency.split()[0] if dependency.split() else ""
                if _PACKAGE.fullmatch(name):
                    return name
    raise NotFound("Debian's kernel meta package names no kernel", hint=HINT)


def parse_candidate(control: str) -> Candidate:
    """Name, version and size out of a package's description. Raises `NotFound`."""
    fields = {name: value.strip() for name, _, value in (line.partition(":") for line in control.splitlines())}
    name, version, size = fields.get("Package", ""), fields.get("Version", ""), fields.get("Size", "")
    if not _PACKAGE.fullmatch(name) or not re.fullmatch(r"[0-9A-Za-z.+:~-]{1,100}", version) or not size.isdecimal():
        raise NotFound("Debian's archive does not describe the kernel package", hint=HINT)
    return Candidate(name, version, int(size))
