"""Turns progress reports of the rooms into events for clients."""

from __future__ import annotations

from collections.abc import Callable

from banger.api.messages import StageEvent
from banger.core.progress import Progress
from banger.daemon.context import Request


def reporter(request: Request) -> Callable[[Progress], None]:
    """A progress callback that sends stage events for `request`."""
    begun: set[str] = set()

    def report(progress: Progress) -> None:
        event: StageEvent = {
            "event": "stage",
            "stage": progress.stage,
            "text": progress.text,
            "state": "progress" if progress.stage in begun else "begin",
        }
        begun.add(progress.stage)
        if progress.detail:
            event["detail"] = True
        if progress.done is not None and progress.unit is not None:
            event["done"] = progress.done
            event["unit"] = progress.unit
            if progress.total is not None:
                event["total"] = progress.total
        request.report(event)

    return report
