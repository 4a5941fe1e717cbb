"""The daemon's log: one file, with the operation id that errors show to users.

A record begins with its time at the start of a line. Its further lines are marked, and no text in it, much of which
comes from guests, can start a line of its own or control a terminal.
"""

from __future__ import annotations

import logging
import logging.handlers
from pathlib import Path
from typing import Final

from banger.core.untrusted import printable_lines
from banger.daemon.context import OperationFilter

LOG_LIMIT_BYTES: Final = 4 << 20
FURTHER_LINE: Final = "\n  | "


class LineFormatter(logging.Formatter):
    """Formats a record so that no text in it can look like another record."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(operation)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S%z")

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return printable_lines(text, limit=len(text)).rstrip("\n").replace("\n", FURTHER_LINE)


def set_up_logging(path: Path) -> None:
    """Log to `path`, which is renamed to `.1` when it has grown to its limit."""
    handler = logging.handlers.RotatingFileHandler(path, maxBytes=LOG_LIMIT_BYTES, backupCount=1, encoding="utf-8")
    handler.addFilter(OperationFilter())
    handler.setFormatter(LineFormatter())
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    # Everything it calls an error it also raises, and whoever asked QEMU says what became of that.
    logging.getLogger("qemu").setLevel(logging.CRITICAL)


def set_log_level(level: str) -> None:
    """Log `debug`, `info`, `warning` or `error` records and those above."""
    logging.getLogger().setLevel(level.upper())
