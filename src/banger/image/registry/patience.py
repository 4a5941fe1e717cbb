"""How long to wait for a registry, and when to try again. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final

from banger.core.errors import BangerError

_SECONDS: Final = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Deadlines in seconds, and how often something is tried.

    `connect_s` is for a connection with its TLS; `answer_s` for the header of an answer; `idle_s` for the next bytes of
    a body; `document_s` for the whole of a small one; `helper_s` for a credential helper. A body must bring
    `least_bytes` in each `rate_window_s`. An attempt counts anew after `progress_bytes`, so that a long download over a
    bad line is not given up; sizes are bounded, so attempts are too.
    """

    connect_s: float = 15.0
    answer_s: float = 45.0
    idle_s: float = 30.0
    document_s: float = 90.0
    least_bytes: int = 32 << 10
    rate_window_s: float = 60.0
    attempts: int = 4
    backoff_s: float = 0.5
    retry_after_limit_s: float = 60.0
    progress_bytes: int = 8 << 20
    helper_s: float = 20.0


class Transient(Exception):
    """A temporary failure. `after_s` is how many seconds the server asked us to wait."""

    def __init__(self, error: BangerError, *, after_s: float | None = None) -> None:
        super().__init__(error.summary)
        self.error = error
        self.after_s = after_s


def plan_delay(patience: Patience, *, attempt: int, after_s: float | None) -> float | None:
    """How many seconds to wait after attempt number `attempt` (from 1) failed; None: give up."""
    if attempt >= patience.attempts or (after_s or 0) > patience.retry_after_limit_s:
        return None
    return max(after_s or 0.0, patience.backoff_s * 2.0 ** (attempt - 1))


def parse_retry_after(text: str | None, *, now_s: float) -> float | None:
    """Seconds that a Retry-After header asks for: a number, or a date (RFC 9110, 10.2.3); None for anything else.

    A date in the past is 0.
    """
    if text is None:
        return None
    number = text.strip()
    if _SECONDS.fullmatch(number) is not None:
        return float(number)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now_s)
    except (ValueError, OverflowError, TypeError):
        return None
