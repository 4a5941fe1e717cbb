"""Which packages a root file system has, as its package manager says; an image may say anything there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple, Protocol

_LIMIT_BYTES: Final = 64 << 20
_PACKAGES_LIMIT: Final = 100_000
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._~-]{0,127}")
_VERSION: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._~:^-]{0,127}")
_DPKG: Final = "/var/lib/dpkg/status"
_APK: Final = ("/usr/lib/apk/db/installed", "/lib/apk/db/installed")


class Files(Protocol):
    """A root file system."""

    def read_start(self, path: str, size: int) -> bytes | None:
        """The first bytes of the file at `path`, symbolic links followed within the tree; None when there is none."""


class Package(NamedTuple):
    """A name and a version, as the package manager spells them."""

    name: str
    version: str


def find_packages(tree: Files) -> str | None:
    """The packages of dpkg or apk, one `NAME VERSION` a line, sorted; None when neither keeps any.

    rpm keeps its own in a database that only rpm reads.
    """
    if (status := tree.read_start(_DPKG, _LIMIT_BYTES)) is not None:
        return list_packages(status.decode("utf-8", "replace"))
    for path in _APK:
        if (installed := tree.read_start(path, _LIMIT_BYTES)) is not None:
            return _render(_parse_apk(installed.decode("utf-8", "replace")))
    return None


def list_packages(status: str) -> str:
    """Names and versions of installed packages out of dpkg's status file, one a line, sorted."""
    return _render(_parse_dpkg(status))


def parse_packages(text: str) -> list[Package]:
    """Read what `find_packages` wrote; lines of another form are left out."""
    return [Package(*words) for line in text.splitlines() if len(words := line.split(" ")) == 2]


def _parse_dpkg(status: str) -> Iterator[tuple[str, str]]:
    for paragraph in status.split("\n\n"):
        fields = {
            key: value.strip()
            for key, colon, value in (line.partition(":") for line in paragraph.splitlines())
            if colon
        }
        if fields.get("Status") == "install ok installed":
            yield fields.get("Package", ""), fields.get("Version", "")


def _parse_apk(installed: str) -> Iterator[tuple[str, str]]:
    for paragraph in installed.split("\n\n"):
        fields = {line[:1]: line[2:] for line in paragraph.splitlines() if line[1:2] == ":"}
        yield fields.get("P", ""), fields.get("V", "")


def _render(packages: Iterable[tuple[str, str]]) -> str:
    """What has no proper name and version is left out."""
    good = {
        f"{name} {version}\n"
        for name, version in packages
        if _NAME.fullmatch(name) is not None and _VERSION.fullmatch(version) is not None
    }
    return "".join(sorted(good)[:_PACKAGES_LIMIT])
