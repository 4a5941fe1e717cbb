"""How long-running work reports its progress."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """A stage of some work. `done` and `total` count `unit`s; None where that is not known.

    `detail` marks a part of another stage that is reported too.
    """

    stage: str
    text: str
    done: int | None = None
    total: int | None = None
    unit: Literal["bytes", "files", "packages"] | None = None
    detail: bool = False
