"""The system's ssh to a guest: keys made on the host, nothing learned on first use, nothing of the user's touched."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

from banger.core.errors import Failed, Unsupported
from banger.core.files import write_durably
from banger.core.processes import run
from banger.core.untrusted import printable


async def ensure_user_key(path: Path) -> None:
    """Make the key that guests accept, unless it exists."""
    if not path.exists() or not public_half(path).exists():
        await _make_key(path, comment="banger")


def public_half(path: Path) -> Path:
    """The file with the public key that belongs to a private one (ssh-keygen(1))."""
    return path.with_name(f"{path.name}.pub")


async def make_host_key(path: Path) -> None:
    """Make a guest's host key, and the known-hosts file that goes with it beside it."""
    await _make_key(path, comment="banger-guest")


async def _make_key(path: Path, *, comment: str) -> None:
    for leftover in (path, path.with_suffix(".pub")):
        leftover.unlink(missing_ok=True)
    await run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", os.fspath(path)],
        hint="install the package openssh-client",
    )


def ensure_known_hosts(path: Path, *, host_alias: str, host_key: Path) -> None:
    """Write the one line that says which key the guest must show."""
    line = f"{host_alias} {read_host_key(host_key)}\n".encode()
    if not path.exists() or path.read_bytes() != line:
        write_durably(path, line)


def read_host_key(path: Path) -> str:
    """The public half of a guest's host key: its kind and the key, without the comment. Raises `Failed`."""
    words = path.with_suffix(".pub").read_bytes().split()
    if len(words) < 2:  # a computer that lost its power right after it was made
        raise Failed(f"the guest's host key {path} is damaged", hint="`banger vm exec` needs no ssh")
    return b" ".join(words[:2]).decode("ascii", "backslashreplace")


def plan_ssh_options(*, host_alias: str, key: Path, known_hosts: Path) -> list[str]:
    """Values of `-o` for ssh, scp and sftp (ssh_config(5)), to be used with `-F none`.

    Raises `Unsupported` for a directory whose name ssh cannot be told.
    """
    return [
        f"HostKeyAlias={host_alias}",
        f"UserKnownHostsFile={_quoted(known_hosts)}",
        *plan_shared_options(key=key),
    ]


def plan_shared_options(*, key: Path) -> list[str]:
    """The options that are the same for all guests, without those about host keys. Raises `Unsupported`."""
    return [
        "GlobalKnownHostsFile=none",
        "StrictHostKeyChecking=yes",
        "UpdateHostKeys=no",
        f"IdentityFile={_quoted(key)}",
        "IdentitiesOnly=yes",
        "IdentityAgent=none",
        "PreferredAuthentications=publickey",
        "CanonicalizeHostname=no",
        "VerifyHostKeyDNS=no",
        "ForwardAgent=no",
        "ForwardX11=no",
        "ForwardX11Trusted=no",
        "GSSAPIAuthentication=no",
        "Tunnel=no",
        "PKCS11Provider=none",
        "PermitLocalCommand=no",
        "ControlPath=none",
        "LogLevel=ERROR",
    ]


def _quoted(path: Path) -> str:
    """A path as an option's value: quotes protect spaces, `%` would be a token, and `${` cannot be protected."""
    text = os.fspath(path)
    if "${" in text or any(unicodedata.category(character) == "Cc" for character in text):
        raise Unsupported(
            f"ssh cannot be told to use files in {printable(os.fspath(path.parent), limit=200)}",
            hint="move banger's state to a directory with a plain name: see BANGER_HOME",
        )
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%") + '"'
