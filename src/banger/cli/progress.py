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

from banger.cli.pace import Pace
from banger.cli.render import Style, format_duration
from banger.core.sizes import format_size
from banger.core.untrusted import printable

if TYPE_CHECKING:
    from banger.api.messages import StageEvent

_TICK_S: Final = 0.25
_WORTH_KEEPING_S: Final = 1.0
_STILL_ALIVE_S: Final = 10.0
_LOG_COLUMNS: Final = 400


class Stage:
    """A stage that has begun and not ended. Elsewhere than on a terminal also what was said about it last, and when."""

    __slots__ = ("began_s", "measure", "pace", "said", "said_s", "text", "total", "unit")

    def __init__(self, began_s: float) -> None:
        self.text = ""
        self.measure = ""
        self.pace = Pace()
        self.total: int | None = None
        self.unit: str | None = None
        self.began_s = began_s
        self.said = ""
        self.said_s = began_s


def describe_measure(event: StageEvent) -> str:
    """How far a stage is: `12 MiB of 90 MiB`, `1,200 files`, or nothing."""
    done, total, unit = event.get("done"), event.get("total"), event.get("unit")
    if done is None or unit is None:
        return ""
    if unit == "bytes":
        return format_size(done) + (f" of {format_size(total)}" if total else "")
    return f"{done:,}" + (f" of {total:,}" if total else "") + f" {unit}"


class Progress:
    """Shows events. Use as a context manager, so that the live line is gone on every way out."""

    def __init__(self, *, live: bool, quiet: bool, style: Style, verbose: bool = False) -> None:
        self._live = live and not quiet
        self._verbose = verbose
        self._quiet = quiet
        self._style = style
        self._stages: dict[str, Stage] = {}
        self._drawn = False
        self._line_end = "\n"
        self._shared = False
        self._previous: Any = None

    @staticmethod
    def for_terminal(environment: Mapping[str, str], *, quiet: bool = False, verbose: bool = False) -> Progress:
        """Live if standard error is a terminal that can redraw a line. `verbose`: each detail leaves a line."""
        live = sys.stderr.isatty() and environment.get("TERM", "dumb") != "dumb"
        return Progress(live=live, quiet=quiet, verbose=verbose, style=Style.for_stream(sys.stderr, environment))

    def __enter__(self) -> Progress:
        if self._live:
            self._previous = signal.signal(signal.SIGALRM, self._tick)
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()
        if self._live:
            signal.signal(signal.SIGALRM, self._previous)
            self._live = False

    def clear(self) -> None:
        """Nothing is under way now: take the live line away and stop drawing."""
        if self._live:
            signal.setitimer(signal.ITIMER_REAL, 0)
            self._erase()
        self._stages.clear()

    def share(self) -> None:
        """Like `clear`; and from now on standard error is the guest's program's too: no lines about stages.

        Lines that still come end so that they look right in raw mode.
        """
        self.clear()
        self._shared = True
        if os.isatty(2):
            self._line_end = "\r\n"

    def event(self, event: Mapping[str, Any]) -> None:
        """Show a stage event or a notice; other events are not for us."""
        if event.get("event") == "notice":
            self.notice(str(event.get("text", "")))
        elif event.get("event") == "stage":
            self._stage(event)  # type: ignore[arg-type]  # just looked
        elif event.get("event") == "log":
            self.done(printable(str(event.get("text", "")), limit=_LOG_COLUMNS))

    def notice(self, text: str) -> None:
        """A line that stays."""
        if not self._quiet:
            self._print(f"banger: {printable(text)}")

    def done(self, text: str) -> None:
        """A dim line that stays."""
        if not self._quiet:
            self._print(self._style.dim(text))

    def _stage(self, event: StageEvent) -> None:
        now_s = time.monotonic()
        stage = self._stages.pop(event["stage"], None)
        if event.get("detail"):
            self._detail(event, stage)
            return
        if event["state"] == "end":
            if stage is not None and self._live:
                self._end(stage, event.get("elapsed_s", now_s - stage.began_s))
            return
        stage = stage or Stage(now_s)
        stage.text = printable(event["text"], limit=200)
        stage.measure = describe_measure(event)
        if stage.measure:
            stage.total, stage.unit = event.get("total"), event.get("unit")
            stage.pace.see(now_s, event.get("done", 0))
        self._stages[event["stage"]] = stage  # last, because that is where things move
        if self._live:
            self._draw_from_now_on()
        elif not self._shared and not self._quiet:
            self._say(stage, now_s)

    def _detail(self, event: StageEvent, stage: Stage | None) -> None:
        """A part of another stage: live while it lasts, and a line afterwards for who wants to see all."""
        if event["state"] != "end":
            if self._live:
                stage = stage or Stage(time.monotonic())
                stage.text = printable(event["text"], limit=200)
                self._stages[event["stage"]] = stage
                self._draw_from_now_on()
        elif self._verbose and not self._quiet and not self._shared:
            took = format_duration(event["elapsed_s"]) if "elapsed_s" in event else "passed"
            self._print(self._style.dim(f"{printable(event['text'], limit=200)}: {took}"))

    def _end(self, stage: Stage, elapsed_s: float) -> None:
        if elapsed_s >= _WORTH_KEEPING_S and not self._shared:
            self._print(self._style.dim(f"{stage.text}: {format_duration(elapsed_s)}"))
        if not self._stages:
            self.clear()

    def _say(self, stage: Stage, now_s: float) -> None:
        """A line for what begins, and one now and then for what moves on."""
        if stage.text != stage.said and (not stage.measure or not stage.said or now_s - stage.said_s >= _STILL_ALIVE_S):
            stage.said, stage.said_s = stage.text, now_s
            self._print(stage.text)

    def _print(self, line: str) -> None:
        self._erase()
        _write(line + self._line_end)
        self._draw()

    def _draw_from_now_on(self) -> None:
        if not self._drawn:
            signal.setitimer(signal.ITIMER_REAL, _TICK_S, _TICK_S)
        self._draw()

    def _draw(self) -> None:
        if not self._live or not self._stages:
            return
        stage = list(self._stages.values())[-1]
        now_s = time.monotonic()
        pace = stage.pace.describe(now_s, total=stage.total, unit=stage.unit) if stage.measure else ""
        elapsed = format_duration(now_s - stage.began_s)
        line = "  ".join(filter(None, (stage.text, stage.measure, pace, elapsed)))
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
    with suppress(OSError):  # progress that cannot be shown is no reason to stop
        os.write(2, text.encode("utf-8", "backslashreplace"))
