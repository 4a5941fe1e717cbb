"""What `health`, `stats` and `ports` share: several VMs looked at in one request, told about in the order given."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from banger.api.client import error_from
from banger.cli import exits
from banger.cli.failures import render_error
from banger.cli.render import render_json
from banger.core.untrusted import printable

if TYPE_CHECKING:
    from banger.api.messages import Observation
    from banger.cli.context import Context


def observe(
    context: Context, options: Namespace, *, what: str, show: Callable[[list[Observation]], str]
) -> tuple[int, list[Observation]]:
    """Ask, print with `show` what was seen, and return the status of the first that could not be looked at."""
    with context.open() as daemon:
        answer: dict[str, Any] = daemon.post(f"/v1/vms/{what}", {"refs": options.vm})
    outcomes: list[Observation] = answer["outcomes"]
    seen = [outcome for outcome in outcomes if outcome["error"] is None]
    if options.json:
        context.write(render_json({"outcomes": outcomes}))
    elif seen:
        context.write(show(seen))
    status = exits.DONE
    for outcome in outcomes:
        if outcome["error"] is not None:
            error = error_from(dict(outcome["error"]))
            status = status or exits.OF_KIND[error.kind]
            if not options.json:
                text = render_error(error, context.error_style, subject=printable(outcome["ref"]))
                context.tell(text.removesuffix("\n"))
    return status, outcomes
