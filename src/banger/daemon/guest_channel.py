"""Sessions with the agents of VMs."""

from __future__ import annotations

import time
from functools import partial
from typing import Final

from banger.core.errors import Unavailable
from banger.core.layout import VmLayout
from banger.core.sockets import connect_unix
from banger.daemon.supervisor import Connect
from banger.guest.channel import Channel

AGAIN_DEADLINE_S: Final = 5.0


async def connect_guest(files: VmLayout, *, first: bool, deadline_s: float) -> Channel:
    """Begin a session. `first` is False when there was one since the guest booted.

    Raises as `Channel.connect`, and `Unavailable` at once when the VMM has ended, or hangs and takes no connection.
    """
    try:
        connection = connect_unix(files.channel, timeout_s=0)
    except OSError as error:
        raise Unavailable(f"the VMM does not take a connection: {error.strerror}") from error
    return await Channel.connect(connection, first=first, deadline_s=deadline_s, clock_ns=time.time_ns)


def reconnect_to(files: VmLayout) -> Connect:
    """How the supervisor begins a later session with this guest."""
    return partial(connect_guest, files, first=False, deadline_s=AGAIN_DEADLINE_S)
