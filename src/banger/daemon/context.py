"""What a request carries with it: its operation id, and a way to report progress to the client."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass

from banger.api.messages import Event

operation_id: ContextVar[str] = ContextVar("operation_id", default="-")

Report = Callable[[Event], None]


@dataclass(frozen=True, slots=True)
class Request:
    """One request that may change the world. `report` never blocks and never fails."""

    operation: str
    report: Report

    def notice(self, text: str) -> None:
        """Tell the user one line."""
        self.report({"event": "notice", "text": text})


class OperationFilter(logging.Filter):
    """Puts the operation id of the current request into every log record."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.operation = operation_id.get()
        return True
