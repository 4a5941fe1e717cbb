"""Debian's archive: which mirror and proxy this host uses for it, and how apt is told about them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from banger.core.processes import run

PUBLIC_MIRROR: Final = "http://deb.debian.org/debian"
PUBLIC_SECURITY_MIRROR: Final = "http://deb.debian.org/debian-security"
KEYRING: Final = "/usr/share/keyrings/debian-archive-keyring.gpg"
# Debian's names for architectures, and of the package that emulates each.
DEBIAN_ARCHITECTURES: Final = MappingProxyType({"x86_64": "amd64", "aarch64": "arm64"})
QEMU_PACKAGES: Final = MappingProxyType({"x86_64": "qemu-system-x86", "aarch64": "qemu-system-arm"})
_KEYRING_NAME: Final = "debian-archive-"
_ADDRESS: Final = re.compile(r"https?://[\x21-\x7e]{1,2000}")
_PROXY: Final = re.compile(r'(Acquire::https?::Proxy(?:::[A-Za-z0-9.-]+|-Auto-Detect)?) "([\x21\x23-\x7e]{1,2000})";')


@dataclass(frozen=True, slots=True)
class Mirrors:
    """Addresses of the archive and of its security updates."""

    archive: str = PUBLIC_MIRROR
    security: str = PUBLIC_SECURITY_MIRROR


@dataclass(frozen=True, slots=True)
class _Entry:
    address: str
    suites: tuple[str, ...]
    components: tuple[str, ...]
    signed_by: str


def read_host_sources(root: Path = Path("/etc/apt")) -> list[str]:
    """The texts of a host's apt sources (sources.list(5))."""
    directory = root / "sources.list.d"
    paths = [root / "sources.list", *sorted(directory.glob("*.list")), *sorted(directory.glob("*.sources"))]
    return [path.read_text(errors="replace") for path in paths if path.is_file()]


async def read_host_proxies() -> tuple[tuple[str, str], ...]:
    """The proxies that this host's apt is configured to use: apt's option names with their values."""
    shown = await run(["apt-config", "dump", "--format", '%f "%v";%n', "Acquire"], hint="install the package apt")
    return parse_proxies(shown.stdout.decode("utf-8", "replace"))


def parse_proxies(dump: str) -> tuple[tuple[str, str], ...]:
    """The options about proxies in the output of apt-config(8)."""
    found = (_PROXY.fullmatch(line.strip()) for line in dump.splitlines())
    return tuple((match[1], match[2]) for match in found if match is not None)


def render_apt_conf(options: Sequence[tuple[str, str]]) -> str:
    """A configuration file of apt (apt.conf(5)). The values have no quotation marks in them."""
    return "".join(f'{name} "{value}";\n' for name, value in options)


def find_mirrors(sources: Sequence[str], *, suite: str) -> Mirrors:
    """The mirrors that a host's own apt sources name for `suite`, else the public ones.

    Other archives use the same suite names. So an entry signed by another key than Debian's is ignored,
    and among the rest an address that also has the suite's updates is preferred.
    """
    entries = [
        entry
        for entry in _parse_sources(sources)
        if _ADDRESS.fullmatch(entry.address)
        and "main" in entry.components
        and (not entry.signed_by or _KEYRING_NAME in entry.signed_by)
    ]

    def addresses(wanted: str) -> list[str]:
        return [entry.address.rstrip("/") for entry in entries if wanted in entry.suites]

    updates = addresses(f"{suite}-updates")
    archives = sorted(addresses(suite), key=lambda address: (address not in updates, not address.endswith("/debian")))
    return Mirrors(
        archive=next(iter(archives), PUBLIC_MIRROR),
        security=next(iter(addresses(f"{suite}-security")), PUBLIC_SECURITY_MIRROR),
    )


def render_sources(mirrors: Mirrors, *, suite: str) -> str:
    """One-line entries for apt, verified against Debian's archive keyring alone."""
    options = f"[signed-by={KEYRING}]"
    return (
        f"deb {options} {mirrors.archive} {suite} main\n"
        f"deb {options} {mirrors.archive} {suite}-updates main\n"
        f"deb {options} {mirrors.security} {suite}-security main\n"
    )


def _parse_sources(sources: Sequence[str]) -> Iterator[_Entry]:
    for text in sources:
        lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
        for paragraph in "\n".join(lines).split("\n\n"):
            yield from _parse_paragraph(paragraph)
        for line in lines:
            yield from _parse_line(line)


def _parse_paragraph(paragraph: str) -> Iterator[_Entry]:
    fields: dict[str, list[str]] = {}
    field: list[str] = []
    for line in paragraph.splitlines():
        if line[:1] in (" ", "\t"):
            field += line.split()
            continue
        name, colon, value = line.partition(":")
        if colon and name.replace("-", "").isalpha():
            field = fields.setdefault(name.lower(), [])
            field += value.split()
    if "deb" in fields.get("types", []) and fields.get("enabled", ["yes"]) != ["no"]:
        for address in fields.get("uris", []):
            yield _Entry(
                address,
                tuple(fields.get("suites", [])),
                tuple(fields.get("components", [])),
                " ".join(fields.get("signed-by", [])),
            )


def _parse_line(line: str) -> Iterator[_Entry]:
    match = re.fullmatch(r"\s*deb\s+(?:\[([^\]]*)\]\s*)?([^\s\[]+)\s+(\S+)\s+([^#]*)(?:#.*)?", line)
    if match is not None:
        options = dict(option.partition("=")[::2] for option in (match[1] or "").split())
        yield _Entry(match[2], (match[3],), tuple(match[4].split()), options.get("signed-by", ""))
