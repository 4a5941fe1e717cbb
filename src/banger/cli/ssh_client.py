"""How the system's ssh calls banger to reach a guest."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from typing import Final

from banger.cli.arguments import vm_ref

DOMAIN: Final = ".vm"
# The variables that decide which daemon is used: whoever uses a printed configuration may have another environment.
WORLD: Final = ("BANGER_HOME", "XDG_RUNTIME_DIR", "XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "PYTHONPATH")


def parse_host(text: str) -> str:
    """A VM's name or id out of `NAME.vm`, or of itself. Raises `Invalid`."""
    return vm_ref(text.removesuffix(DOMAIN))


def plan_program(words: Sequence[str], *, environment: Mapping[str, str] | None = None) -> list[str]:
    """This very banger as an argument vector; with an `environment`, the one that talks to the same daemon.

    `-P`: the directory in which ssh is called, perhaps somebody else's repository, gives us no modules.
    """
    argv = [sys.executable, "-P", "-m", "banger", *words]
    if environment is not None:
        world = [f"{name}={environment[name]}" for name in WORLD if environment.get(name)]
        argv = ["/usr/bin/env", *world, *argv]
    return argv


def plan_proxy(vm_id: str, *, environment: Mapping[str, str] | None = None) -> str:
    """The value of ProxyCommand for one VM."""
    return proxy_line(plan_program(["internal-connect", vm_id, "22"], environment=environment))


def proxy_line(argv: Sequence[str]) -> str:
    """A shell's command line as the value of ProxyCommand, in which `%` would be a token (ssh_config(5))."""
    return shlex.join(argv).replace("%", "%%")
