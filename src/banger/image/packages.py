"""Which packages a root file system has, according to its package manager, which is untrusted.

A list is text: `# FORMAT DISTRIBUTION`, then one `NAME VERSION` a line, sorted. Where packages cannot be told although
there are some, it is `? REASON`.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final, NamedTuple, Protocol

from banger.core.errors import Unsupported
from banger.core.untrusted import printable
from banger.image.rpm.database import find_rpm_packages

_LIMIT_BYTES: Final = 64 << 20
_PACKAGES_LIMIT: Final = 100_000
_RELEASE_LIMIT_BYTES: Final = 64 << 10
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9+._~-]{0,127}")
_VERSION: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._~:^-]{0,127}")
_DISTRIBUTION: Final = re.compile(r"[a-z0-9._-]{1,40}")
_DPKG: Final = "/var/lib/dpkg/status"
_DPKG_PARTS: Final = "/var/lib/dpkg/status.d"  # distroless images have a file for each package, and no dpkg
_PART_LIMIT_BYTES: Final = 64 << 10
_PARTS_LIMIT: Final = 10_000
_APK: Final = ("/usr/lib/apk/db/installed", "/lib/apk/db/installed")
_RELEASE: Final = ("/etc/os-release", "/usr/lib/os-release")


class Files(Protocol):
    """A root file system."""

    def open(self, path: str) -> BinaryIO | None:
        """The content of the regular file at `path`, symbolic links followed within the tree; None if there is none."""

    def files_in(self, directory: str, *, limit: int) -> list[str]:
        """Names of regular files right in a directory, among its first `limit` entries; none where there is none."""

    def read_start(self, path: str, size: int) -> bytes | None:
        """The first bytes of the file at `path`, symbolic links followed within the tree; None when there is none."""


class Package(NamedTuple):
    """A name and a version, as the package manager spells them."""

    name: str
    version: str


@dataclass(frozen=True, slots=True)
class Packages:
    """An image's packages. `format` is `deb`, `apk` or `rpm`, and empty in lists from an older banger.

    `distribution` is the ID of os-release(5), empty where there is none; `unknown` is why the packages cannot be told.
    """

    packages: tuple[Package, ...]
    format: str = ""
    distribution: str = ""
    unknown: str = ""


def find_packages(tree: Files) -> str | None:
    """The packages of dpkg, apk or rpm, or why they are unknown; None if there is no package manager."""
    distribution = _find_distribution(tree)
    status = tree.read_start(_DPKG, _LIMIT_BYTES)
    parts = tree.files_in(_DPKG_PARTS, limit=_PARTS_LIMIT)
    if status is not None or parts:
        of_dpkg = _parse_dpkg((status or b"").decode("utf-8", "replace"))
        return _render("deb", distribution, itertools.chain(of_dpkg, _read_parts(tree, parts)))
    for path in _APK:
        if (installed := tree.read_start(path, _LIMIT_BYTES)) is not None:
            return _render("apk", distribution, _parse_apk(installed.decode("utf-8", "replace")))
    try:
        of_rpm = find_rpm_packages(tree)
    except Unsupported as error:
        return f"? {printable(error.summary, limit=300)}\n"
    return None if of_rpm is None else _render("rpm", distribution, of_rpm)


def parse_packages(text: str) -> Packages:
    """Read what `find_packages` wrote; lines of another form are left out."""
    first, _, _ = text.partition("\n")
    if first.startswith("?"):
        return Packages((), unknown=first[2:])
    head = [*first.split(" "), "", ""] if first.startswith("#") else ["#", "", ""]
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    packages = tuple(Package(*words) for line in lines if len(words := line.split(" ")) == 2)
    return Packages(packages, format=head[1], distribution=head[2])


def _find_distribution(tree: Files) -> str:
    for path in _RELEASE:
        if (release := tree.read_start(path, _RELEASE_LIMIT_BYTES)) is not None:
            for line in release.decode("utf-8", "replace").splitlines():
                name, _, value = line.partition("=")
                value = value.strip("\"' ")
                if name == "ID" and _DISTRIBUTION.fullmatch(value):
                    return value
    return ""


def _parse_dpkg(status: str) -> Iterator[tuple[str, str]]:
    for paragraph in status.split("\n\n"):
        fields = {
            key: value.strip()
            for key, colon, value in (line.partition(":") for line in paragraph.splitlines())
            if colon
        }
        if fields.get("Status") == "install ok installed":
            yield fields.get("Package", ""), fields.get("Version", "")


def _read_parts(tree: Files, names: Iterable[str]) -> Iterator[tuple[str, str]]:
    left = _LIMIT_BYTES
    for name in names:
        if left > 0 and not name.endswith(".md5sums"):
            part = tree.read_start(f"{_DPKG_PARTS}/{name}", _PART_LIMIT_BYTES) or b""
            left -= len(part)
            paragraph = part.decode("utf-8", "replace").strip().partition("\n\n")[0]
            yield from _parse_dpkg(f"{paragraph}\nStatus: install ok installed")


def _parse_apk(installed: str) -> Iterator[tuple[str, str]]:
    for paragraph in installed.split("\n\n"):
        fields = {line[:1]: line[2:] for line in paragraph.splitlines() if line[1:2] == ":"}
        yield fields.get("P", ""), fields.get("V", "")


def _render(form: str, distribution: str, packages: Iterable[tuple[str, str]]) -> str:
    """The list as text. Packages without a proper name and version are left out."""
    good = {
        f"{name} {version}\n"
        for name, version in packages
        if _NAME.fullmatch(name) is not None and _VERSION.fullmatch(version) is not None
    }
    return f"# {form} {distribution}".rstrip() + "\n" + "".join(sorted(good)[:_PACKAGES_LIMIT])
