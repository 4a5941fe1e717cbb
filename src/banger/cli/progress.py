"""What is happening, on standard error: one live line on a terminal, one line for each stage elsewhere."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

from banger.cli.render import Style, format_duration
from banger.core.sizes import format_size
from banger.core.untrusted import printable

if TYPE_CHECKING:
    from banger.api.messages import StageEvent

_TICK_S: Final = 0.25
_WORTH_KEEPING_S: Final = 1.0


class Stage:
    """A stage that has begun and not ended."""

    __slots__ = ("began_s", "measure", "text")

    def __init__(self, text: str, began_s: float) -> None:
        self.text = text
        self.began_s = began_s
        self.measure = ""


def describe_measure(event: StageEvent) -> str:
    """How far a stage is: `12 MiB of 90 MiB`, `1,200 files`, or nothing."""
    done, total, unit = event.get("done"), event.get("total"), event.get("unit")
    if done is None or unit is None:
        return ""
    if unit == "bytes":
        return format_size(done) + (f" of {format_size(total)}" if total else "")
    return f"{done:,}" + (f" of {total:,}" if total else "") + f" {unit}"


class Progress:
    """Shows events until `close`. Use as a context manager, so that the live line is gone on every way out."""

    def __init__(self, *, live: bool, quiet: bool, style: Style) -> None:
        self._live = live and not quiet
        self._quiet = quiet
        self._style = style
        self._stages: dict[str, Stage] = {}
        self._drawn = False
        self._previous: Any = None

    @staticmethod
    def for_terminal(environment: Mapping[str, str], *, quiet: bool = False) -> Progress:
        """Live if standard error is a terminal that can redraw a line."""
        live = sys.stderr.isatty() and environment.get("TERM", "dumb") != "dumb"
        return Progress(live=live, quiet=quiet, style=Style.for_stream(sys.stderr, environment))

    def __enter__(self) -> Progress:
        if self._live:
            self._previous = signal.signal(signal.SIGALRM, self._tick)
            signal.setitimer(signal.ITIMER_REAL, _TICK_S, _TICK_S)
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Take the live line away and stop drawing."""
        if self._live:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, self._previous)
            self._erase()
            self._live = False
        self._stages.clear()

    def event(self, event: Mapping[str, Any]) -> None:
        """Show a stage event or a notice; other events are not for us."""
        if event.get("event") == "notice":
            self.notice(str(event.get("text", "")))
        elif event.get("event") == "stage":
            self._stage(event)  # type: ignore[arg-type]  # just looked

    def notice(self, text: str) -> None:
        """A line that stays."""
        if not self._quiet:
            self._print(f"banger: {printable(text)}")

    def done(self, text: str) -> None:
        """A dim line that stays."""
        if not self._quiet:
            self._print(self._style.dim(text))

    def _stage(self, event: StageEvent) -> None:
        name = event["stage"]
        text = printable(event["text"], limit=200)
        if event["state"] == "end":
            ended = self._stages.pop(name, None)
            if ended is not None and self._live:
                elapsed_s = event.get("elapsed_s", time.monotonic() - ended.began_s)
                if elapsed_s >= _WORTH_KEEPING_S:
                    self._print(self._style.dim(f"{ended.text}: {format_duration(elapsed_s)}"))
                self._draw()
            return
        stage = self._stages.get(name)
        if stage is None:
            stage = self._stages[name] = Stage(text, time.monotonic())
            if not self._live and not self._quiet:
                self._print(text)
        stage.text = text or stage.text
        stage.measure = describe_measure(event)
        self._draw()

    def _print(self, line: str) -> None:
        self._erase()
        _write(line + "\n")
        self._draw()

    def _draw(self) -> None:
        if not self._live or not self._stages:
            return
        stage = list(self._stages.values())[-1]
        elapsed = format_duration(time.monotonic() - stage.began_s)
        line = "  ".join(filter(None, (stage.text, stage.measure, elapsed)))
        try:
            columns = os.get_terminal_size(2).columns or 80
        except OSError:
            columns = 80
        _write(f"\r\x1b[K{line[: columns - 1]}")
        self._drawn = True

    def _erase(self) -> None:
        if self._drawn:
            _write("\r\x1b[K")
            self._drawn = False

    def _tick(self, _number: int, _frame: FrameType | None) -> None:
        self._draw()


def _write(text: str) -> None:
    """Straight to the descriptor: this also runs inside a signal handler, where a buffered stream may be busy."""
    with suppress(OSError):  # progress that nobody sees is no reason to stop
        os.write(2, text.encode("utf-8", "backslashreplace"))
