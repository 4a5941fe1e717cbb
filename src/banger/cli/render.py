"""One look for everything that is printed: tables, key and value lists, sizes, times, colours, JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TextIO

from banger.core.untrusted import printable

_CELL_LIMIT = 60
NOTHING = "-"
# The phases of a start in their order; what contains others is not among them.
BOOT_PHASES = ("initramfs", "vmm", "kernel", "disks", "agent", "network", "ssh")
_BAR_MARKS = 40


class Style:
    """Colours, or none."""

    __slots__ = ("enabled",)

    def __init__(self, *, enabled: bool) -> None:
        self.enabled = enabled

    @staticmethod
    def for_stream(stream: TextIO, environment: Mapping[str, str]) -> Style:
        """Colours on a terminal that has them, unless `NO_COLOR` is set to anything."""
        wanted = not environment.get("NO_COLOR") and environment.get("TERM", "dumb") != "dumb"
        return Style(enabled=wanted and stream.isatty())

    def dim(self, text: str) -> str:
        return self._paint("2", text)

    def bold(self, text: str) -> str:
        return self._paint("1", text)

    def good(self, text: str) -> str:
        return self._paint("32", text)

    def odd(self, text: str) -> str:
        return self._paint("33", text)

    def bad(self, text: str) -> str:
        return self._paint("31", text)

    def _paint(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.enabled and text else text


def render_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], style: Style, *, limit: int = _CELL_LIMIT
) -> str:
    """Columns two spaces apart; cells are made printable and cut at `limit` characters, empty ones show as `-`."""
    cells = [[printable(cell, limit=limit) or NOTHING for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(header, *cells, strict=True)]
    lines = [style.bold(_line(header, widths))]
    lines += [_line(row, widths) for row in cells]
    return "".join(line + "\n" for line in lines)


def render_fields(fields: Sequence[tuple[str, str]], style: Style) -> str:
    """A list of names and values; a value's further lines are indented under its first."""
    width = max(len(name) for name, _ in fields) + 2
    lines: list[str] = []
    for name, value in fields:
        first, *more = [printable(line) for line in value.split("\n")]
        lines.append(style.dim(f"{name:<{width}}") + (first or NOTHING))
        lines += [" " * width + line for line in more]
    return "".join(line + "\n" for line in lines)


def render_json(document: object) -> str:
    """The one document that `--json` prints: ASCII only, so nothing in it can reach a terminal's controls."""
    return json.dumps(document, indent=2) + "\n"


def format_age(then_s: float, now_s: float) -> str:
    """How long ago: `12s`, `5m`, `3h`, `2d` ago."""
    seconds = max(0, int(now_s - then_s))
    for unit_s, suffix in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= unit_s:
            return f"{seconds // unit_s}{suffix} ago"
    return f"{seconds}s ago"


def format_time(then_s: float) -> str:
    """Local date and time with its offset."""
    import time

    return time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(then_s))


def format_duration(seconds: float) -> str:
    """`0.42 s`, `5.1 s`, `2 min 5 s`, `3 h 12 min`."""
    if seconds < 1:
        return f"{seconds:.2f} s"
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{int(seconds) // 60} min {int(seconds) % 60} s"
    return f"{int(seconds) // 3600} h {int(seconds) // 60 % 60} min"


def render_bar(timings_s: Mapping[str, float]) -> str:
    """How long each phase of a start took, each with a mark for every fortieth of the whole: `kernel 0.9s ####`."""
    shown = [(name, timings_s[name]) for name in BOOT_PHASES if name in timings_s]
    total_s = sum(seconds for _, seconds in shown) or 1.0
    parts = [f"{name} {_seconds(s)} {'#' * max(1, round(_BAR_MARKS * s / total_s))}" for name, s in shown]
    return "  ".join(parts)


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f}s" if seconds >= 0.1 else f"{seconds * 1000:.0f}ms"


def short_digest(digest: str) -> str:
    """Enough of a digest to tell two apart."""
    return digest.removeprefix("sha256:")[:12]


def count(number: int, thing: str) -> str:
    """`1 file`, `2 files`."""
    return f"{number} {thing}" + ("" if number == 1 else "s")


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True)).rstrip()
