"""Where banger's four root directories are, as text.

Separate from the layout below them, because every command needs the daemon's socket and most need no other name, and
importing `pathlib` takes a good part of the time that a short command may take.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple

from banger.core.errors import Invalid


class Roots(NamedTuple):
    """Absolute directories."""

    config: str
    state: str
    cache: str
    run: str

    @property
    def daemon_socket(self) -> str:
        return os.path.join(self.run, "daemon.sock")


def find_roots(environment: Mapping[str, str], *, uid: int) -> Roots:
    """Work out the roots from `BANGER_HOME`, else from the XDG variables, else from `HOME`.

    Raises `Invalid` when nothing says where home is or a variable holds a relative path.
    """
    if home := environment.get("BANGER_HOME"):
        root = _absolute("BANGER_HOME", home)
        return Roots(*(os.path.join(root, name) for name in Roots._fields))
    user_home = environment.get("HOME", "")

    def root_of(variable: str, default: str) -> str:
        if value := environment.get(variable):
            return os.path.join(_absolute(variable, value), "banger")
        return os.path.join(_absolute("HOME", user_home), default, "banger")

    state = root_of("XDG_STATE_HOME", ".local/state")
    if runtime := environment.get("XDG_RUNTIME_DIR"):
        run = os.path.join(_absolute("XDG_RUNTIME_DIR", runtime), "banger")
    elif uid == 0 and os.path.isdir("/run"):
        run = "/run/banger"
    else:
        run = os.path.join(state, "run")
    return Roots(
        config=root_of("XDG_CONFIG_HOME", ".config"),
        state=state,
        cache=root_of("XDG_CACHE_HOME", ".cache"),
        run=run,
    )


def _absolute(variable: str, value: str) -> str:
    if not value:
        raise Invalid(f"{variable} is not set", hint=f"set {variable}, or BANGER_HOME=/some/dir")
    if not os.path.isabs(value):  # noqa: PTH117 - without pathlib is the point
        raise Invalid(f"{variable} is {ascii(value)}, not an absolute path", hint=f"set {variable} or unset it")
    return value
