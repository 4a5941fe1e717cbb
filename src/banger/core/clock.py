"""Time, ids and randomness come in through here, so that tests can pass their own."""

from __future__ import annotations

import secrets
import time
import uuid
from typing import Protocol


class Clock(Protocol):
    """What the daemon needs from time."""

    def now_s(self) -> float:
        """Seconds since the epoch, to be shown and recorded; may jump."""

    def monotonic_s(self) -> float:
        """Seconds that never jump, for deadlines."""


class SystemClock:
    """The real clock."""

    def now_s(self) -> float:
        return time.time()

    def monotonic_s(self) -> float:
        return time.monotonic()


class Ids(Protocol):
    """Where identities come from."""

    def vm_id(self) -> str:
        """A new uuid4 in its usual text form."""

    def operation_id(self) -> str:
        """A new id, short enough to read aloud and unique enough to grep for one operation."""

    def number(self) -> int:
        """A random 64-bit number."""


class RandomIds:
    """Real randomness."""

    def vm_id(self) -> str:
        return str(uuid.uuid4())

    def operation_id(self) -> str:
        return "op-" + secrets.token_hex(5)

    def number(self) -> int:
        return secrets.randbits(64)
