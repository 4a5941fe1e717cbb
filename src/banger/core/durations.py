"""Durations in whole seconds, as people write them: `90s`, `2h` or `1h30m`; parsed, and printed the same way."""

from __future__ import annotations

import re
from typing import Final

from banger.core.errors import Invalid

DURATION_LIMIT_S: Final = 10 * 365 * 86400
_UNITS: Final = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))
_PATTERN: Final = re.compile("".join(rf"(?:(\d{{1,9}}){letter})?" for letter, _ in _UNITS), re.ASCII)
_HINT: Final = "write 90s, 15m, 2h, 1d or 1h30m; 0 means never"


def parse_duration(text: str) -> int:
    """Return seconds for `90s`, `15m`, `2h`, `1d`, `1h30m`; units from the largest down, each once.

    A number without a unit is refused, except `0`. Raises `Invalid`, also for more than ten years.
    """
    written = text.strip()
    if written == "0":
        return 0
    match = _PATTERN.fullmatch(written)
    if match is None or not written:
        raise Invalid(f"{ascii(text)} is not a duration", hint=_HINT)
    total_s = sum(
        int(number) * unit_s for number, (_, unit_s) in zip(match.groups(), _UNITS, strict=True) if number is not None
    )
    if total_s > DURATION_LIMIT_S:
        raise Invalid(f"{ascii(text)} is longer than ten years", hint=_HINT)
    return total_s


def format_period(seconds: int) -> str:
    """Print seconds as `parse_duration` reads them: `1h30m`, `90s` as `1m30s`, none as `0`."""
    parts: list[str] = []
    for letter, unit_s in _UNITS:
        number, seconds = divmod(seconds, unit_s)
        if number:
            parts.append(f"{number}{letter}")
    return "".join(parts) or "0"
