"""A bounded record of what the relay refused."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from typing import Final

from banger.core.untrusted import printable
from banger.network.ranges import Reason

SHOWN_EACH: Final = 5
LOG_BYTES: Final = 64 << 10


class Log:
    """Lines written to a descriptor, at most `limit` bytes of them; later ones are dropped silently."""

    def __init__(self, fd: int, *, limit: int = LOG_BYTES) -> None:
        self._fd = fd
        self._left = limit

    def write(self, text: str) -> None:
        """Append one line, made printable. A log that cannot be written never stops the network."""
        line = (printable(text, limit=500) + "\n").encode()
        if len(line) > self._left:
            return
        self._left -= len(line)
        try:
            os.write(self._fd, line)
        except OSError:
            self._left = 0


class Denials:
    """Counts by reason; the first few of each, and after that each power of ten, go to the log."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._counts: Counter[Reason] = Counter()

    def add(self, reason: Reason, describe: Callable[[], str]) -> None:
        """Count one. `describe` is called only when a line is due."""
        self._counts[reason] += 1
        count = self._counts[reason]
        if count <= SHOWN_EACH:
            self._write(f"refused ({reason}): {describe()}")
        elif _is_power_of_ten(count):
            self._write(f"refused ({reason}): {count} times now, last {describe()}")

    def summary(self) -> str:
        """All counts in one line."""
        if not self._counts:
            return "nothing was refused"
        return "refused: " + ", ".join(f"{reason} {count}" for reason, count in self._counts.most_common())


def _is_power_of_ten(count: int) -> bool:
    while count % 10 == 0:
        count //= 10
    return count == 1
