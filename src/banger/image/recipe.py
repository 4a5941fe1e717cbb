"""Images of Debian: what is in the default one, `debian-bookworm`, and what is taken out of each again. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import Final

from banger.core.debian import DEBIAN_ARCHITECTURES
from banger.image.pinned import Pinned

SUITE: Final = "bookworm"
_EDITION: Final = 1  # to be raised when `distribution.edit` changes and nothing here does

# What a developer expects at a prompt, and no more: the image is about 350 MB. Compilers and other toolchains are
# the workspace's. docs/images.md shows this table, and a test compares the two.
PACKAGES: Final[dict[str, tuple[str, ...]]] = {
    "system": (
        "systemd",
        "systemd-sysv",
        "dbus",
        "udev",
        "kmod",
        "openssh-server",
        "sudo",
        "ca-certificates",
        "tzdata",
    ),
    "shell": ("bash-completion", "file", "htop", "less", "man-db", "nano", "ncurses-term", "tmux", "tree", "vim-tiny"),
    "files": ("bzip2", "curl", "patch", "rsync", "unzip", "wget", "xz-utils", "zip", "zstd"),
    "development": ("git", "gpg", "jq", "make", "python3", "python3-venv", "ripgrep", "strace"),
    "network": ("bind9-host", "iproute2", "iputils-ping", "netcat-openbsd"),
    "processes": ("lsof", "procps", "psmisc"),
}

# Units that wait for hardware that a VM does not have, that work behind the user's back, or that start a process for
# something that is done already: the agent has mounted and named everything before systemd begins, the kernel has made
# the device nodes, and no users change at boot. Each costs from 0.2 to 3 s where the processor is emulated.
MASKED_UNITS: Final = (
    "apt-daily-upgrade.timer",
    "apt-daily.timer",
    "dev-hugepages.mount",
    "dev-mqueue.mount",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "getty@tty1.service",
    "logrotate.timer",
    "man-db.timer",
    "modprobe@.service",
    "proc-sys-fs-binfmt_misc.automount",
    "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount",
    "systemd-binfmt.service",
    "systemd-networkd-wait-online.service",
    "systemd-pstore.service",
    "systemd-random-seed.service",
    "systemd-remount-fs.service",
    "systemd-sysusers.service",
    "systemd-timesyncd.service",
    "systemd-udev-trigger.service",
    "systemd-update-utmp-runlevel.service",
    "systemd-update-utmp.service",
    "systemd-user-sessions.service",
)

# Started on request, not at boot: `systemctl poweroff` and `reboot` ask logind first, through D-Bus, and complain twice
# where it is masked. So only what a target wants of it is masked: pairs of target and unit.
ON_DEMAND: Final = (("multi-user.target", "systemd-logind.service"),)

# Files of this host or this build, which must not be in an image that many machines share.
REMOVED: Final = (
    "etc/.pwd.lock",
    "etc/apt/apt.conf.d/99mmdebstrap",
    "etc/dpkg/dpkg.cfg.d/99mmdebstrap",
    "etc/group-",
    "etc/gshadow-",
    "etc/hostname",
    "etc/modules-load.d/modules.conf",
    "etc/passwd-",
    "etc/resolv.conf",
    "etc/shadow-",
    "etc/ssh/ssh_host_ecdsa_key",
    "etc/ssh/ssh_host_ecdsa_key.pub",
    "etc/ssh/ssh_host_ed25519_key",
    "etc/ssh/ssh_host_ed25519_key.pub",
    "etc/ssh/ssh_host_rsa_key",
    "etc/ssh/ssh_host_rsa_key.pub",
    "var/lib/dbus/machine-id",
    "var/lib/systemd/random-seed",
)
EMPTIED: Final = ("dev", "etc/apt/sources.list.d", "proc", "run", "sys", "tmp", "var/tmp")
# Here the directories stay, with the owners that their packages gave them.
CLEARED: Final = ("var/cache/apt", "var/cache/ldconfig", "var/lib/apt/lists", "var/log")

# The serial port that carries the console, which is for reading only.
_SERIAL_PORTS: Final = MappingProxyType({"x86_64": "ttyS0", "aarch64": "ttyAMA0"})

PROFILE: Final = """\
# Set by banger: what an interactive shell of this image knows beyond Debian's.
if [ -n "${PS1-}" ]; then
    alias ls='ls --color=auto'
    alias ll='ls -l'
    alias grep='grep --color=auto'
fi
"""
SSH_UNIT: Final = """\
[Service]
# It checks its configuration when it starts anyway; once is enough.
ExecStartPre=
"""
ENVIRONMENT: Final = {"LANG": "C.UTF-8"}

_APT_CONF: Final = (("APT::Install-Recommends", "false"), ("Acquire::Languages", "none"), ("Acquire::Retries", "3"))
DPKG_OPTIONS: Final = (
    "force-unsafe-io",  # a machine that is thrown away has no use for a disk flush after each file
    "path-exclude=/usr/share/locale/*",
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Download(Pinned):
    """A gzipped tar archive. Of its `files`, each has its place in the image, and its mode there.

    `profiles` are for login shells, by name.
    """

    files: tuple[tuple[str, str, int], ...]
    profiles: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DebianImage:
    """One image of Debian for one architecture, for which we have a word, and Debian another.

    Of the units that its packages enable some are `disabled`, by target and name. `build_bytes` is what a build needs
    on the disk for a while.
    """

    architecture: str
    debian_architecture: str
    suite: str = SUITE
    packages: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: PACKAGES)
    disabled: tuple[str, ...] = ()
    downloads: tuple[Download, ...] = ()
    build_bytes: int = 2 << 30


IMAGES: Final = MappingProxyType(
    {
        architecture: DebianImage(architecture=architecture, debian_architecture=debian_architecture)
        for architecture, debian_architecture in DEBIAN_ARCHITECTURES.items()
    }
)


def all_packages(wanted: DebianImage) -> list[str]:
    """Every package that the recipe asks for, sorted."""
    return sorted(package for group in wanted.packages.values() for package in group)


def masked_units(wanted: DebianImage) -> list[str]:
    """Every unit that does not start in this image, sorted."""
    return sorted((*MASKED_UNITS, f"serial-getty@{_SERIAL_PORTS[wanted.architecture]}.service"))


def render_package_table(packages: Mapping[str, tuple[str, ...]]) -> str:
    """A table of docs/images.md."""
    rows = (f"| {group} | {' '.join(f'`{package}`' for package in names)} |" for group, names in packages.items())
    return "\n".join(["| for | packages |", "|---|---|", *rows])


def fingerprint(wanted: DebianImage) -> str:
    """The fingerprint of a recipe, which tells its images from those of an earlier banger."""
    argv = plan_mmdebstrap(wanted, mode="root", contained=False, foreign=False, output="", sources="", apt_conf="")
    edits = (
        *(masked_units(wanted), ON_DEMAND, REMOVED, EMPTIED, CLEARED),
        *(PROFILE, SSH_UNIT, sorted(ENVIRONMENT.items()), _EDITION),
    )
    more = (wanted.disabled, [asdict(download) for download in wanted.downloads])
    return hashlib.sha256(json.dumps([argv, edits, *filter(any, [more])]).encode()).hexdigest()[:16]


def apt_options(proxies: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    """apt's options during a build; they are not part of the image."""
    return (*_APT_CONF, *proxies)


def plan_mmdebstrap(
    wanted: DebianImage,
    *,
    mode: str,
    contained: bool,
    output: str,
    sources: str,
    apt_conf: str,
    foreign: bool,
) -> list[str]:
    """The argument vector of mmdebstrap(1): a tar of the suite with our packages and no recommended ones.

    `output`, `sources` and `apt_conf` are files. With `contained`, root works in namespaces that die with us: what is
    mounted there goes with the processes, however they end, and cannot be reached when their files are removed.
    `foreign` is what another processor runs: that it does here too has been seen to, and needs no arch-test(1).
    """
    namespaces = [
        *("setpriv", "--pdeathsig=KILL", "--"),
        *("unshare", "--mount", "--propagation=private", "--pid", "--mount-proc", "--fork", "--kill-child", "--"),
    ]
    return [
        *(namespaces if contained else ()),
        "mmdebstrap",
        f"--mode={mode}",
        "--verbose",
        "--variant=apt",
        f"--architectures={wanted.debian_architecture}",
        f"--include={','.join(all_packages(wanted))}",
        f"--aptopt={apt_conf}",
        *(f"--dpkgopt={option}" for option in DPKG_OPTIONS),
        *(("--skip=check/qemu",) if foreign else ()),
        "--format=tar",
        wanted.suite,
        output,
        sources,
    ]
