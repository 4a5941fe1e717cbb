"""What `health`, `stats` and `ports` share: several VMs looked at in one request, told about in one table."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from typing import TYPE_CHECKING

from banger.cli import exits
from banger.cli.outcomes import look, tell_failure
from banger.cli.render import render_json

if TYPE_CHECKING:
    from banger.api.messages import Observation
    from banger.cli.context import Context


def observe(
    context: Context, options: Namespace, *, what: str, show: Callable[[list[Observation]], str]
) -> tuple[int, list[Observation]]:
    """Ask, print with `show` what was seen, and return the status of the first that could not be looked at."""
    outcomes = look(context, options.vm, what=what)
    seen = [outcome for outcome in outcomes if outcome["error"] is None]
    if options.json:
        context.write(render_json({"outcomes": outcomes}))
    elif seen:
        context.write(show(seen))
    status = exits.DONE
    for outcome in outcomes:
        if outcome["error"] is not None:
            failed = tell_failure(context, outcome["error"], outcome["ref"], quiet=options.json)
            status = status or failed
    return status, outcomes
