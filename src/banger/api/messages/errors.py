"""Failures, as they are sent on the socket."""

from __future__ import annotations

from typing import NotRequired, TypedDict


class ErrorView(TypedDict):
    """A failed request. `kind` is from the closed list in `banger.core.errors`."""

    kind: str
    summary: str
    hint: str
    operation: str
    data: NotRequired[dict[str, str | int | float | bool | None]]
