"""What one of our processes costs this computer; another process with the same pid is never mistaken for it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from banger.core.processes import ProcessIdentity, read_identity


@dataclass(frozen=True, slots=True)
class Usage:
    """Seconds of processor time since the process began, and bytes of memory that it has now (proc(5))."""

    cpu_s: float
    rss_bytes: int


def read_usage(identity: ProcessIdentity) -> Usage | None:
    """The usage of exactly that process; None when it is gone."""
    try:
        usage = parse_stat(Path(f"/proc/{identity.pid}/stat").read_text())
    except (OSError, ValueError, IndexError):
        return None
    # Checked afterwards: the process that has the pid now had it when we read.
    return usage if read_identity(identity.pid) == identity else None


def parse_stat(text: str) -> Usage:
    """Fields 14, 15 and 24 of /proc/PID/stat. A process chooses its own name, with parentheses if it likes.

    Raises `ValueError` or `IndexError` for what is no such line.
    """
    fields = text[text.rindex(")") + 2 :].split()
    ticks = int(fields[11]) + int(fields[12])
    return Usage(ticks / os.sysconf("SC_CLK_TCK"), int(fields[21]) * os.sysconf("SC_PAGE_SIZE"))
