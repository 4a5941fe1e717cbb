"""Where the Debian archive is: the host's own mirror if it has one configured, else the public one. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

PUBLIC_MIRROR: Final = "http://deb.debian.org/debian"
PUBLIC_SECURITY_MIRROR: Final = "http://deb.debian.org/debian-security"
KEYRING: Final = "/usr/share/keyrings/debian-archive-keyring.gpg"


@dataclass(frozen=True, slots=True)
class Mirrors:
    """Addresses of the archive and of its security updates."""

    archive: str = PUBLIC_MIRROR
    security: str = PUBLIC_SECURITY_MIRROR


def find_mirrors(sources: Sequence[str], *, suite: str) -> Mirrors:
    """The mirrors that a host's own `sources.list` and `*.sources` files name for `suite` (sources.list(5))."""
    archive, security = PUBLIC_MIRROR, PUBLIC_SECURITY_MIRROR
    for address, suites in _entries(sources):
        if suite in suites:
            archive = address
        if f"{suite}-security" in suites:
            security = address
    return Mirrors(archive.rstrip("/"), security.rstrip("/"))


def render_sources(mirrors: Mirrors, *, suite: str) -> str:
    """One-line entries for apt, verified by the archive's keyring and nothing else."""
    options = f"[signed-by={KEYRING}]"
    return (
        f"deb {options} {mirrors.archive} {suite} main\n"
        f"deb {options} {mirrors.archive} {suite}-updates main\n"
        f"deb {options} {mirrors.security} {suite}-security main\n"
    )


def _entries(sources: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    for text in sources:
        for paragraph in text.split("\n\n"):
            fields = {
                name.strip().lower(): value.split()
                for name, colon, value in (line.partition(":") for line in paragraph.splitlines() if line[:1] != "#")
                if colon and name.strip().isalpha()
            }
            if "deb" in fields.get("types", []):
                for address in fields.get("uris", []):
                    if _usable(address):
                        yield address, fields.get("suites", [])
        for line in text.splitlines():
            words = line.partition("#")[0].split()
            if words[:1] == ["deb"]:
                words = [word for word in words[1:] if "=" not in word and not word.startswith(("[", "]"))]
                if len(words) >= 2 and _usable(words[0]):
                    yield words[0], words[1:2]


def _usable(address: str) -> bool:
    return address.startswith(("http://", "https://")) and address.isascii() and address.isprintable()
