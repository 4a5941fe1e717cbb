"""The rate of some progress and the time left, from what was seen in the last seconds."""

from __future__ import annotations

from typing import Final

from banger.cli.render import format_duration
from banger.core.sizes import format_size

_WINDOW_S: Final = 8.0
_ENOUGH_S: Final = 1.0
_FAR_S: Final = 24 * 3600.0


class Pace:
    """Samples of how much was done when. Times are seconds of any clock that only goes forward."""

    def __init__(self) -> None:
        self._samples: list[tuple[float, int]] = []

    def see(self, now_s: float, done: int) -> None:
        """Note how much is done now. Less than before means that something new is counted."""
        if self._samples and done < self._samples[-1][1]:
            self._samples.clear()
        self._samples.append((now_s, done))
        while len(self._samples) > 2 and self._samples[1][0] <= now_s - _WINDOW_S:
            del self._samples[0]
        if len(self._samples) > 1000:  # as many in a second or two: every other one says the same
            del self._samples[1:-1:2]

    def rate(self, now_s: float) -> float | None:
        """How much a second, or None when that cannot be told yet."""
        if not self._samples:
            return None
        (began_s, first), (_, last) = self._samples[0], self._samples[-1]
        return (last - first) / (now_s - began_s) if now_s - began_s >= _ENOUGH_S else None

    def describe(self, now_s: float, *, total: int | None, unit: str | None) -> str:
        """`3.4 MiB/s, 12.0 s left`, as much of it as is known."""
        rate = self.rate(now_s)
        if not rate:
            return ""
        parts = [f"{format_size(round(rate))}/s"] if unit == "bytes" else []
        left_s = (total - self._samples[-1][1]) / rate if total else 0.0
        if 0 < left_s < _FAR_S:
            parts.append(f"{format_duration(max(1.0, left_s))} left")
        return ", ".join(parts)
