"""How long VMs still have to live. Counted in the host's uptime, so that a clock that jumps deletes nothing."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Protocol

from banger.core.processes import read_boot_id
from banger.store.records import Lifetime


class Uptime(Protocol):
    """The host's uptime, suspended time included, and which boot it belongs to."""

    def now_s(self) -> float: ...

    def boot_id(self) -> str: ...


class SystemUptime:
    """CLOCK_BOOTTIME (clock_gettime(2))."""

    def now_s(self) -> float:
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def boot_id(self) -> str:
        return read_boot_id()


class Lifetimes:
    """Begins lifetimes and counts them down."""

    def __init__(self, uptime: Uptime, *, default_s: float | None) -> None:
        self._uptime = uptime
        self._default_s = default_s

    def begin(self, ttl_s: float | None) -> Lifetime | None:
        """A lifetime of `ttl_s` seconds from now; 0 means for ever, None the default."""
        ttl_s = self._default_s if ttl_s is None else ttl_s
        if not ttl_s:
            return None
        return Lifetime(left_s=ttl_s, marked_s=self._uptime.now_s(), boot_id=self._uptime.boot_id())

    def count_down(self, lifetime: Lifetime) -> Lifetime:
        """The same lifetime as it is now. Time in which the host was off, or another boot's, does not count."""
        now_s, boot_id = self._uptime.now_s(), self._uptime.boot_id()
        passed_s = now_s - lifetime.marked_s if lifetime.boot_id == boot_id else 0.0
        return replace(lifetime, left_s=lifetime.left_s - max(0.0, passed_s), marked_s=now_s, boot_id=boot_id)
