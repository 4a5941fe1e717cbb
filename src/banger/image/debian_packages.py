"""Packages for a Debian guest: resolved against what it has, downloaded and verified on the host.

The guest needs neither network nor keys for that. What the guest says of itself is untrusted: its
package database is taken apart, and apt sees only fields of the form that Debian's have.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from banger.core.apt import Apt
from banger.core.debian import DEBIAN_ARCHITECTURES, KEYRING, read_host_proxies
from banger.core.errors import Failed, Unavailable, Unsupported
from banger.core.processes import CommandFailed
from banger.core.progress import Progress
from banger.core.untrusted import printable

STATUS_FILE: Final = "/var/lib/dpkg/status"
RELEASE_FILE: Final = "/etc/os-release"
STATUS_LIMIT_BYTES: Final = 64 << 20
RELEASE_LIMIT_BYTES: Final = 64 << 10

_PACKAGES_LIMIT: Final = 50_000
_FIELD_LIMIT: Final = 20_000
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9+.-]{1,200}")
_VERSION: Final = re.compile(r"[0-9][0-9A-Za-z.+:~-]{0,200}")
_RELATION: Final = re.compile(r"[\x20-\x7e]*")
_RELATIONS: Final = ("Pre-Depends", "Depends", "Provides", "Conflicts", "Breaks", "Replaces")
_CHOICES: Final = {
    "Multi-Arch": ("same", "foreign", "allowed"),
    "Essential": ("yes",),
    "Important": ("yes",),
    "Protected": ("yes",),
}
_RELEASE: Final = re.compile(r"^(ID|VERSION_CODENAME)=[\"']?([a-z0-9.-]{1,40})[\"']?$", re.MULTILINE)


class Debian(NamedTuple):
    """A guest that packages can be downloaded for. `status` is the part of its package database that apt may see."""

    suite: str
    status: str


def read_debian(release: str, status: str | None, *, architecture: str) -> Debian:
    """Which Debian a guest is, by its own files. Raises `Unsupported` for anything else."""
    fields = dict(_RELEASE.findall(release))
    if fields.get("ID") != "debian" or "VERSION_CODENAME" not in fields or status is None:
        said = fields.get("ID") or "nothing that is known"
        raise Unsupported(
            f"packages are only downloaded for images of Debian, and this one says it is {printable(said, limit=40)}",
            hint='install them with `commands`, and say `network = true`: commands = ["apk add git"]',
        )
    return Debian(fields["VERSION_CODENAME"], render_status(status, architecture=DEBIAN_ARCHITECTURES[architecture]))


def render_status(status: str, *, architecture: str) -> str:
    """The installed packages of an untrusted package database, for apt to read (dpkg's status file)."""
    lines: list[str] = []
    for count, fields in enumerate(_paragraphs(status)):
        if count == _PACKAGES_LIMIT:
            raise Unsupported(f"the image says that it has more than {_PACKAGES_LIMIT} packages")
        name, version = fields.get("Package", ""), fields.get("Version", "")
        its_architecture = fields.get("Architecture", "")
        if (
            fields.get("Status", "").split()[-1:] != ["installed"]
            or not _NAME.fullmatch(name)
            or not _VERSION.fullmatch(version)
            or its_architecture not in (architecture, "all")
        ):
            continue
        lines += [f"Package: {name}", "Status: install ok installed", "Maintainer: nobody <nobody@invalid>"]
        lines += [f"Architecture: {its_architecture}", f"Version: {version}", "Description: installed"]
        lines += [f"{key}: {fields[key]}" for key, allowed in _CHOICES.items() if fields.get(key) in allowed]
        for key in _RELATIONS:
            value = fields.get(key, "")
            if value and len(value) <= _FIELD_LIMIT and _RELATION.fullmatch(value):
                lines.append(f"{key}: {value}")
        lines.append("")
    return "\n".join([*lines, ""])


def _paragraphs(status: str) -> Iterator[dict[str, str]]:
    """The fields of each package, continued lines left out: those that matter here have none."""
    for paragraph in status.split("\n\n"):
        yield {
            key: value.strip()
            for key, colon, value in (line.partition(":") for line in paragraph.split("\n") if line[:1] not in " \t")
            if colon
        }


async def download_packages(
    packages: Sequence[str],
    debian: Debian,
    directory: Path,
    *,
    architecture: str,
    host_sources: Sequence[str],
    report: Callable[[Progress], None],
) -> list[Path]:
    """The files of packages that a Debian lacks, below a directory of ours. Raises `Failed` and `Unavailable`.

    apt has compared each with its archive's signed lists.
    """
    if not Path(KEYRING).exists():
        raise Unavailable(f"{KEYRING} is missing", hint="install the package debian-archive-keyring")
    apt = Apt(
        directory,
        suite=debian.suite,
        architecture=DEBIAN_ARCHITECTURES[architecture],
        host_sources=host_sources,
        proxies=await read_host_proxies(),
        status=debian.status,
    )
    report(Progress(stage="packages", text="reading the package lists of Debian"))
    await apt.update()
    report(Progress(stage="packages", text=f"downloading {len(packages)} packages and what they need"))
    try:
        return await apt.download_missing(packages)
    except CommandFailed as error:
        raise Failed(
            f"apt cannot get these packages for this image: {error.summary}",
            hint=f"see whether Debian {debian.suite} has them all",
        ) from error
