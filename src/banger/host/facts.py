"""The facts for `banger doctor`. Gathering only reads: it asks programs for their version and changes nothing."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import stat
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from banger.core import processes
from banger.core.errors import BangerError
from banger.core.platforms import ARCHITECTURES, host_architecture
from banger.host.packages import Family, find_family

_VERSION_TIMEOUT_S: Final = 5.0
_VERSIONED: Final = {"qemu": ("--version",), "git": ("--version",)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A program on this host: its path, and what it printed as its version (empty if it was not asked)."""

    path: str
    version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory:
    """A directory of banger's as it is. `mode` is its permission bits; `uid` its owner; None when it is missing."""

    path: str
    uid: int | None
    mode: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything that the checks judge. Missing programs are None."""

    python: tuple[int, int, int]
    architecture: str
    uid: int
    user: str
    programs: Mapping[str, Program | None]
    kvm: str
    """`missing`, `denied` or `present`."""
    user_namespaces: int
    """How many the kernel allows; 0 when they are switched off."""
    unprivileged_user_namespaces: bool
    subuids: int
    """How many subordinate user ids the user may map, from /etc/subuid."""
    free_bytes: int
    directories: Sequence[Directory]
    agents: Sequence[str]
    """Architectures that an agent binary is packaged for."""
    family: Family


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where to look. `data` is where disks and images will be; `directories` are banger's own."""

    data: Path
    directories: Sequence[Path]
    agents: Path
    proc: Path = Path("/proc")
    kvm: Path = Path("/dev/kvm")
    subuid: Path = Path("/etc/subuid")
    os_release: Path = Path("/etc/os-release")


PROGRAMS: Final = (
    "passt",
    "prlimit",
    "mmdebstrap",
    "mke2fs",
    "git",
    "ssh",
    "ssh-keygen",
    "apt-get",
    "dpkg-deb",
    "depmod",
    "newuidmap",
)


async def read_facts(places: Places) -> Facts:
    """Look around. Never raises for what is missing: that is what the checks are for."""
    architecture = host_architecture()
    names = {name: name for name in PROGRAMS} | {"qemu": f"qemu-system-{architecture}"}
    names |= {f"qemu for {other}": f"qemu-system-{other}" for other in ARCHITECTURES if other != architecture}
    programs = await asyncio.gather(*(_program(name, file) for name, file in names.items()))
    uid = os.getuid()
    user = _user_name(uid)
    return Facts(
        python=sys.version_info[:3],
        architecture=architecture,
        uid=uid,
        user=user,
        programs=dict(zip(names, programs, strict=True)),
        kvm=_kvm(places.kvm),
        user_namespaces=_number(places.proc / "sys/user/max_user_namespaces", default=0),
        unprivileged_user_namespaces=_number(places.proc / "sys/kernel/unprivileged_userns_clone", default=1) != 0
        and _number(places.proc / "sys/kernel/apparmor_restrict_unprivileged_userns", default=0) == 0,
        subuids=subordinate_ids(_text(places.subuid), user=user, uid=uid),
        free_bytes=_free_bytes(places.data),
        directories=tuple(_directory(path) for path in places.directories),
        agents=agents_in(places.agents),
        family=find_family(_text(places.os_release)),
    )


def agents_in(directory: Path) -> tuple[str, ...]:
    """Architectures of the agents in `directory`, whose files are called `agent-ARCHITECTURE`."""
    try:
        names = sorted(entry.name for entry in os.scandir(directory) if entry.is_file())
    except OSError:
        return ()
    return tuple(name.removeprefix("agent-") for name in names if name.startswith("agent-"))


def subordinate_ids(text: str, *, user: str, uid: int) -> int:
    """How many ids the lines `name:first:count` of subuid(5) give to a user, who may be named by number."""
    total = 0
    for line in text.splitlines():
        fields = line.strip().split(":")
        if len(fields) == 3 and fields[0] in (user, str(uid)) and fields[2].isascii() and fields[2].isdecimal():
            total += int(fields[2])
    return total


async def _program(name: str, file: str) -> Program | None:
    path = shutil.which(file, path=processes.base_environment()["PATH"])  # as where programs are started
    if path is None:
        return None
    arguments = _VERSIONED.get(name)
    if arguments is None:
        return Program(path=path)
    try:
        said = await processes.run((path, *arguments), timeout_s=_VERSION_TIMEOUT_S)
    except BangerError:
        return Program(path=path)
    return Program(path=path, version=said.stdout[:200].decode(errors="replace").partition("\n")[0])


def _kvm(path: Path) -> str:
    if not path.exists():
        return "missing"
    return "present" if os.access(path, os.R_OK | os.W_OK) else "denied"


def _directory(path: Path) -> Directory:
    try:
        status = path.lstat()
    except OSError:
        return Directory(path=str(path), uid=None, mode=None)
    return Directory(path=str(path), uid=status.st_uid, mode=stat.S_IMODE(status.st_mode))


def _free_bytes(path: Path) -> int:
    while not path.exists() and path != path.parent:
        path = path.parent
    status = os.statvfs(path)
    return status.f_bavail * status.f_frsize


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def _number(path: Path, *, default: int) -> int:
    try:
        return int(_text(path))
    except ValueError:
        return default
