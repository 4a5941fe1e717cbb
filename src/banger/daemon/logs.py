"""The daemon's log: one file, one line a record, with the operation id that errors show to users."""

from __future__ import annotations

import logging
import logging.handlers
from pathlib import Path
from typing import Final

from banger.daemon.context import OperationFilter

LOG_LIMIT_BYTES: Final = 4 << 20


def set_up_logging(path: Path) -> None:
    """Log to `path`, which is renamed to `.1` when it has grown to its limit."""
    handler = logging.handlers.RotatingFileHandler(path, maxBytes=LOG_LIMIT_BYTES, backupCount=1, encoding="utf-8")
    handler.addFilter(OperationFilter())
    handler.setFormatter(
        logging.Formatter("%(asctime)s %(levelname)s %(operation)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S%z")
    )
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    logging.getLogger("qemu").setLevel(logging.WARNING)


def set_log_level(level: str) -> None:
    """Log from `debug`, `info`, `warning` or `error` on."""
    logging.getLogger().setLevel(level.upper())
