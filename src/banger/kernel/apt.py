"""Finding Debian's newest kernel package."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from banger.core.apt import HINT, Apt
from banger.core.errors import Failed, NotFound

_PACKAGE: Final = re.compile(r"linux-image-[a-z0-9][a-z0-9+.-]{1,100}")
_VERSION: Final = re.compile(r"[0-9][0-9A-Za-z.+:~-]{0,99}")
_SIZE: Final = re.compile(r"[0-9]{1,12}")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A package that apt would download, with its size, and its digest (`sha256:...`) in the signed lists."""

    name: str
    version: str
    size_bytes: int
    digest: str


class KernelApt(Apt):
    """apt that knows kernels."""

    async def find_kernel(self, meta_package: str) -> Candidate:
        """The kernel package that a meta package depends on. Raises `NotFound`."""
        name = find_dependency(await self.run("apt-cache", "show", "--no-all-versions", meta_package))
        return parse_candidate(await self.run("apt-cache", "show", "--no-all-versions", name))

    async def find_exactly(self, name: str, version: str) -> Candidate:
        """A kernel package in an exact version. Raises `NotFound` if the archive does not have it."""
        if _PACKAGE.fullmatch(name) is None or _VERSION.fullmatch(version) is None:
            raise NotFound(f"{ascii(f'{name} {version}'[:200])} is not a kernel package of Debian's")
        versions = parse_versions(await self.run("apt-cache", "madison", name))
        if version not in versions:
            rest = f"; it has {', '.join(versions)}" if versions else ""
            raise NotFound(
                f"Debian's archive no longer has {name} {version}{rest}",
                hint="use a newer one, or a computer that still has this one",
            )
        return parse_candidate(await self.run("apt-cache", "show", f"{name}={version}"))

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
    digest = fields.get("SHA256", "")
    good = _PACKAGE.fullmatch(name) and _VERSION.fullmatch(version) and _SIZE.fullmatch(size)
    if not good or not _DIGEST.fullmatch(digest):
        raise NotFound("Debian's archive does not describe the kernel package", hint=HINT)
    return Candidate(name, version, int(size), f"sha256:{digest}")


def parse_versions(table: str) -> tuple[str, ...]:
    """The versions of one package in the output of `apt-cache madison` (apt-cache(8)), the newest first."""
    rows = ([cell.strip() for cell in line.split("|")] for line in table.splitlines())
    versions = (row[1] for row in rows if len(row) == 3 and _VERSION.fullmatch(row[1]))
    return tuple(dict.fromkeys(versions))
