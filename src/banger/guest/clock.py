"""Measuring the frequency of the host's time stamp counter, which an emulated guest has to be told."""

from __future__ import annotations

import os
from pathlib import Path

from banger.core.errors import BangerError
from banger.core.processes import run


async def measure_tsc_khz(agent: Path) -> int | None:
    """The frequency of this host's counter in kilohertz, or None if it has none; takes a tenth of a second.

    `agent` is the binary for this host's own architecture, which can count what Python cannot.
    """
    try:
        completed = await run([os.fspath(agent), "--tsc-khz"], timeout_s=5.0)
        khz = int(completed.stdout)
    except (BangerError, ValueError):
        return None
    return khz if 100_000 <= khz <= 20_000_000 else None
