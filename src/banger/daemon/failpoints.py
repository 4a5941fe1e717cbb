"""Places where a test can make the daemon die, fail or hang.

`BANGER_FAILPOINTS` holds `NAME=ACTION` pairs separated by commas; actions are `kill` (SIGKILL ourselves), `error`,
`enospc`, `eio`, `hang` and `stall` (say in the log that it was reached, and go on a second later). Every journalled
step has four points: `KIND.STEP.before_intent`, `.after_intent`, `.after_act` and `.after_done`. Without the variable
nothing happens.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import signal
from collections.abc import Mapping
from typing import Final

from banger.core.errors import Failed, Invalid

log = logging.getLogger(__name__)

POINTS: Final = ("before_intent", "after_intent", "after_act", "after_done")
ACTIONS: Final = ("kill", "error", "enospc", "eio", "hang", "stall")
STALL_S: Final = 1.0


def parse_failpoints(text: str) -> dict[str, str]:
    """Read the variable's value. Raises `Invalid` for an unknown action."""
    points: dict[str, str] = {}
    for pair in filter(None, text.split(",")):
        name, _, action = pair.partition("=")
        if action not in ACTIONS:
            raise Invalid(
                f"{ascii(pair)} in BANGER_FAILPOINTS has no known action", hint="use one of " + " ".join(ACTIONS)
            )
        points[name] = action
    return points


class Failpoints:
    """The points that are armed. Each but `kill` and `hang` fires once."""

    def __init__(self, points: Mapping[str, str]) -> None:
        self._points = dict(points)

    async def reach(self, name: str) -> None:
        """Do what is armed for `name`, if anything."""
        if not self._points or (action := self._points.get(name)) is None:
            return
        if action == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if action == "hang":
            await asyncio.Event().wait()
        del self._points[name]
        if action == "stall":
            log.info("failpoint %s is reached", name)
            await asyncio.sleep(STALL_S)
            return
        if action == "enospc":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if action == "eio":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        raise Failed(f"failpoint {name}")
