"""A guest's text in the daemon's log is a guest's text, and not a line of the log."""

from __future__ import annotations

import logging
import re

import pytest

from banger.daemon.context import OperationFilter
from banger.daemon.logs import LineFormatter

BEGINNING = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\S+ [A-Z]+ \S+ \S+: ")


def logged(message: str, *arguments: object, error: BaseException | None = None) -> list[str]:
    information = (type(error), error, error.__traceback__) if error is not None else None
    record = logging.LogRecord("banger.x", logging.ERROR, "x.py", 1, message, arguments, information)
    OperationFilter().filter(record)
    return LineFormatter().format(record).split("\n")


def test_one_line() -> None:
    (line,) = logged("%s is ready", "box")
    assert BEGINNING.match(line)
    assert line.endswith(" ERROR - banger.x: box is ready")


FORGED = "2026-01-01T00:00:00+0000 INFO op-1 banger.daemon: all is well"


@pytest.mark.parametrize("separator", ["\n", "\r\n", "\r", "\x0b", "\x0c", "\x85", "\u2028", "\u2029", "\n\n"])
def test_a_line_cannot_be_forged(separator: str) -> None:
    lines = logged("it did not boot\n%s", f"console{separator}{FORGED}{separator}end")
    assert [bool(BEGINNING.match(line)) for line in lines] == [True, *[False] * (len(lines) - 1)]
    assert all(line.startswith("  | ") for line in lines[1:])
    assert len("\n".join(lines).splitlines()) == len(lines)


def test_nothing_moves_the_cursor() -> None:
    assert "\x1b" not in "\n".join(logged("a \x1b[2J b\u202e"))


def test_a_traceback_is_marked_too() -> None:
    try:
        raise ValueError(FORGED + "\n" + FORGED)
    except ValueError as error:
        lines = logged("it broke", error=error)
    assert len(lines) > 3
    assert all(line.startswith("  | ") for line in lines[1:])
