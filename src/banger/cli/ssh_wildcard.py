"""What ~/.ssh/config is told so that `ssh NAME.vm` reaches a guest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from banger.cli.dotfiles import Block, find_home
from banger.cli.ssh_client import DOMAIN, plan_program, proxy_line
from banger.core.errors import Unsupported
from banger.core.untrusted import printable

if TYPE_CHECKING:
    from banger.api.messages import SshDefaults

# Characters that end or change a quotation for a shell. ssh puts the host's name into ProxyCommand as it was given, and
# names come from places such as the URLs of a repository's submodules (CVE-2023-51385).
_NEVER_IN_A_HOST: Final = ("'", "\\")
_PLAIN: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+,@:~ ")


def render_wildcard(defaults: SshDefaults, *, environment: Mapping[str, str]) -> str:
    """A Host block for all guests. Raises `Unsupported` where ssh cannot be told what it has to know."""
    options = [option.partition("=")[::2] for option in defaults["options"]]
    connect = proxy_line(plan_program(["internal-connect"], environment=environment))
    keys = _words(plan_program(["internal-known-hosts"], environment=environment))
    options += [
        ("User", defaults["user"]),
        ("UserKnownHostsFile", "none"),
        ("KnownHostsCommand", f"{keys} %H"),
        ("ProxyCommand", f"{connect} '%h' %p"),
    ]
    refused = " ".join(f'"!*{_escaped(mark)}*"' for mark in _NEVER_IN_A_HOST)
    lines = ["# Written by `banger ssh-config --install`; `--uninstall` removes it.", f"Host *{DOMAIN} {refused}"]
    return "".join(f"{line}\n" for line in (*lines, *(f"  {name} {value}" for name, value in options)))


def plan_include(file: Path) -> Block:
    """What has to stand in ~/.ssh/config: before all else, because ssh takes the first value that it finds.

    Raises `Unsupported` for a name that ssh would understand otherwise.
    """
    if not _PLAIN.issuperset(str(file)):
        raise Unsupported(
            f"ssh cannot be told to include {printable(str(file), limit=200)}",
            hint="move banger's configuration to a directory with a plain name: see BANGER_HOME",
        )
    return Block("ssh-config", (f'Include "{file}"',), first=True)


def plan_user_file(environment: Mapping[str, str]) -> Path:
    """The user's own configuration of ssh. Raises `Invalid` when nothing says where home is."""
    return find_home(environment) / ".ssh" / "config"


def _words(argv: Sequence[str]) -> str:
    """Words for ssh itself, which starts the program without a shell: only quotes and backslashes mean something."""
    return " ".join('"' + _escaped(word).replace("%", "%%") + '"' for word in argv)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
