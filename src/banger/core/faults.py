"""Errors of the operating system about files, as errors that a user can act on."""

from __future__ import annotations

import errno
import os
from typing import Final

from banger.core.errors import BangerError, Denied, Failed, TimedOut, Unavailable
from banger.core.untrusted import printable

FULL_HINT: Final = "free some space, delete VMs with `banger vm delete`, or set BANGER_HOME to a larger disk"
DISK_HINT: Final = "look for disk errors with `dmesg`; nothing of the interrupted work was kept"


def translate_os_error(error: OSError) -> BangerError:
    """`Unavailable` for a full disk or quota, `Denied` for permissions, `Failed` with the path for anything else.

    A deadline of `asyncio.timeout` is a `TimeoutError`, which is an `OSError` too: `TimedOut`.
    """
    if isinstance(error, TimeoutError) and error.errno is None:
        return TimedOut("it took longer than it may", hint="try again, or look into the daemon's log")
    place = printable(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes) else ""
    said = printable(error.strerror or str(error) or type(error).__name__)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        whose = "there is no space left" if error.errno == errno.ENOSPC else "your disk quota is used up"
        return Unavailable(f"{whose} for {place}" if place else f"{whose} on the host's disk", hint=FULL_HINT)
    summary = f"{place}: {said}" if place else said
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return Denied(summary, hint="`banger doctor` looks at the directories that banger uses")
    if error.errno == errno.EIO:
        return Failed(f"the disk failed: {summary}", hint=DISK_HINT)
    return Failed(summary, hint="the daemon's log has the details")
