"""The names of the packages that banger needs, in each family of distributions, and how to install them.

A family is found in os-release(5): the `ID` of the distribution, else the first known one of those that it is like.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Family(StrEnum):
    """Distributions that share their packages' names and their package manager."""

    DEBIAN = "debian"
    FEDORA = "fedora"
    ARCH = "arch"
    SUSE = "suse"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Fix:
    """How to fix something: a sentence, or commands and the same as text."""

    text: str
    commands: tuple[tuple[str, ...], ...] = ()


_IDS: Final = MappingProxyType(
    {
        "debian": Family.DEBIAN,
        "ubuntu": Family.DEBIAN,
        "fedora": Family.FEDORA,
        "rhel": Family.FEDORA,
        "centos": Family.FEDORA,
        "arch": Family.ARCH,
        "archlinux": Family.ARCH,
        "suse": Family.SUSE,
        "opensuse": Family.SUSE,
        "opensuse-leap": Family.SUSE,
        "opensuse-tumbleweed": Family.SUSE,
        "sles": Family.SUSE,
    }
)
_MANAGERS: Final = MappingProxyType(
    {
        Family.DEBIAN: ("apt-get", "install", "-y"),
        Family.FEDORA: ("dnf", "install", "-y"),
        Family.ARCH: ("pacman", "-S", "--needed", "--noconfirm"),
        Family.SUSE: ("zypper", "--non-interactive", "install"),
    }
)
# Packages are looked up by Debian's name; those that are called the same everywhere are not listed.
_ELSEWHERE: Final[Mapping[str, Mapping[Family, str]]] = MappingProxyType(
    {
        "qemu-system-x86": {Family.SUSE: "qemu-x86"},
        "qemu-system-arm": {
            Family.FEDORA: "qemu-system-aarch64",
            Family.ARCH: "qemu-system-aarch64",
            Family.SUSE: "qemu-arm",
        },
        "openssh-client": {Family.FEDORA: "openssh-clients", Family.ARCH: "openssh", Family.SUSE: "openssh-clients"},
        "uidmap": {Family.FEDORA: "shadow-utils", Family.ARCH: "shadow", Family.SUSE: "shadow"},
    }
)
# What a family has no package of its own for.
_NOWHERE: Final = MappingProxyType({Family.ARCH: {"mmdebstrap"}, Family.SUSE: {"mmdebstrap"}})


def find_family(os_release: str) -> Family:
    """The family of a distribution from the text of /etc/os-release. Never raises."""
    fields: dict[str, str] = {}
    for line in os_release[:65536].splitlines():
        name, equals, value = line.strip().partition("=")
        if equals and name in ("ID", "ID_LIKE"):
            try:
                fields[name] = " ".join(shlex.split(value))
            except ValueError:
                continue
    for word in (fields.get("ID", ""), *fields.get("ID_LIKE", "").split()):
        if word in _IDS:
            return _IDS[word]
    return Family.UNKNOWN


def plan_install(packages: Sequence[str], family: Family, *, root: bool) -> Fix:
    """How packages, by Debian's names, are installed in a family of distributions."""
    names = [_ELSEWHERE.get(package, {}).get(family, package) for package in packages]
    absent = [name for name in names if name in _NOWHERE.get(family, set())]
    if absent:
        return Fix(f"install {', '.join(absent)}, which this distribution has no package of its own for")
    if family is Family.UNKNOWN:
        return Fix(f"install {', '.join(names)} (as Debian calls it) with your package manager")
    return plan_commands((*_MANAGERS[family], *names), root=root)


def plan_commands(*commands: tuple[str, ...], root: bool, after: str = "") -> Fix:
    """Commands that only root may run, and what to do after them."""
    run = tuple(command if root else ("sudo", *command) for command in commands)
    text = "\n".join(shlex.join(command) for command in run)
    return Fix(f"{text}{after}", run)
