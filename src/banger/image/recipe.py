"""The default image `debian-bookworm`: what is in it, and what is taken out of it again. Pure."""

from __future__ import annotations

from typing import Final

SUITE: Final = "bookworm"

# Grouped as docs/images.md shows them; a test compares the two.
PACKAGES: Final[dict[str, tuple[str, ...]]] = {
    "system": ("systemd", "systemd-sysv", "dbus", "udev", "kmod", "openssh-server", "sudo", "ca-certificates"),
    "shell": ("bash-completion", "less", "man-db", "nano", "vim-tiny", "tmux", "tree", "file", "htop"),
    "files": ("rsync", "curl", "wget", "unzip", "zip", "xz-utils", "zstd", "bzip2", "patch"),
    "development": ("git", "make", "jq", "ripgrep", "python3", "strace"),
    "network": ("iproute2", "iputils-ping", "netcat-openbsd", "bind9-host"),
    "processes": ("procps", "psmisc", "lsof"),
}

# Units that wait for hardware that a VM does not have, or that work behind the user's back.
MASKED_UNITS: Final = (
    "apt-daily-upgrade.timer",
    "apt-daily.timer",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "getty@tty1.service",
    "man-db.timer",
    "serial-getty@ttyS0.service",
    "systemd-networkd-wait-online.service",
    "systemd-pstore.service",
    "systemd-remount-fs.service",
    "systemd-timesyncd.service",
)

# What is this host's, or this build's, and must not be in an image that many machines share.
REMOVED: Final = (
    "etc/apt/apt.conf.d/99mmdebstrap",
    "etc/hostname",
    "etc/resolv.conf",
    "etc/ssh/ssh_host_ecdsa_key",
    "etc/ssh/ssh_host_ecdsa_key.pub",
    "etc/ssh/ssh_host_ed25519_key",
    "etc/ssh/ssh_host_ed25519_key.pub",
    "etc/ssh/ssh_host_rsa_key",
    "etc/ssh/ssh_host_rsa_key.pub",
    "var/lib/dbus/machine-id",
    "var/lib/systemd/random-seed",
)
EMPTIED: Final = ("var/cache/apt/archives", "var/lib/apt/lists", "var/log", "tmp", "var/tmp", "dev", "run")

PROFILE: Final = """\
# Set by banger: a prompt that says which machine this is.
[ -n "${BASH_VERSION-}" ] && PS1='\\u@\\h:\\w\\$ '
alias ll='ls -l'
"""


def all_packages() -> list[str]:
    """Every package of the recipe, sorted."""
    return sorted(package for group in PACKAGES.values() for package in group)


def plan_mmdebstrap(*, mode: str, output: str, sources: str) -> list[str]:
    """The argument vector of mmdebstrap(1): a tar of the suite with our packages and no recommended ones."""
    return [
        "mmdebstrap",
        f"--mode={mode}",
        "--variant=apt",
        "--architectures=amd64",
        f"--include={','.join(all_packages())}",
        '--aptopt=Apt::Install-Recommends "false"',
        '--aptopt=Acquire::Languages "none"',
        "--dpkgopt=path-exclude=/usr/share/locale/*",
        "--dpkgopt=path-exclude=/usr/share/doc/*",
        "--dpkgopt=path-include=/usr/share/doc/*/copyright",
        SUITE,
        output,
        sources,
    ]
