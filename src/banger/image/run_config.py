"""How an image is to be run: program, user, directory, and how it is ended (`config` of OCI images)."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from banger.core.errors import Invalid
from banger.core.untrusted import printable

DEFAULT_STOP_SIGNAL: Final = int(signal.SIGTERM)
_FIRST_REALTIME: Final = 34  # SIGRTMIN as the C libraries of Linux number it (signal(7))
_LAST_SIGNAL: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """Empty texts and tuples mean that the image does not say. `user` is `name`, `uid`, `name:group` or `uid:gid`."""

    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    user: str = ""
    working_dir: str = ""
    stop_signal: int = DEFAULT_STOP_SIGNAL

    @property
    def argv(self) -> tuple[str, ...]:
        """The whole command line, or nothing."""
        return (*self.entrypoint, *self.command)


def encode_run_config(run: RunConfig) -> Mapping[str, Any]:
    """The `run` of an image's manifest."""
    return {
        "entrypoint": list(run.entrypoint),
        "command": list(run.command),
        "user": run.user,
        "working_dir": run.working_dir,
        "stop_signal": run.stop_signal,
    }


def decode_run_config(value: Mapping[str, Any]) -> RunConfig:
    """Read what `encode_run_config` wrote; an empty mapping stands for an image without these settings."""
    return RunConfig(
        entrypoint=tuple(value.get("entrypoint", ())),
        command=tuple(value.get("command", ())),
        user=value.get("user", ""),
        working_dir=value.get("working_dir", ""),
        stop_signal=value.get("stop_signal", DEFAULT_STOP_SIGNAL),
    )


def parse_stop_signal(text: str) -> int:
    """The number of `SIGNAME`, `NAME`, `SIGRTMIN+N` or a number; SIGTERM for an empty text. Raises `Invalid`."""
    name = text.upper().removeprefix("SIG")
    number = DEFAULT_STOP_SIGNAL if not text else None
    if name.isascii() and name.isdecimal() and len(name) < 4:
        number = int(name)
    elif name.startswith("RTMIN"):
        offset = name.removeprefix("RTMIN") or "+0"
        if offset[0] == "+" and offset[1:].isdecimal() and len(offset) < 4:
            number = _FIRST_REALTIME + int(offset)
    elif f"SIG{name}" in signal.Signals.__members__:
        number = int(signal.Signals[f"SIG{name}"])
    if number is None or not 0 < number <= _LAST_SIGNAL:
        raise Invalid(f"the image's stop signal {printable(text, limit=40)} is not a signal")
    return number
