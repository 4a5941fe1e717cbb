"""`banger vm health`."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from banger.cli import exits
from banger.cli.arguments import Parser, add_json, add_vms
from banger.cli.observations import observe
from banger.cli.render import Style, format_duration, render_table

if TYPE_CHECKING:
    from banger.api.messages import Observation
    from banger.cli.context import Context

USAGE = "VM... [--json]"
DESCRIPTION = """\
Check running VMs now. kernel and agent: the agent answers. disks: the guest has its root. network: with
--nat, it has an address. ssh: something takes connections on port 22; not checked for images without an
init. What a guest may still be starting within its time after the boot is told as starting, not as fail.
The exit status is 0 only if every check that applies passes on every VM."""
EXAMPLES = (
    ("banger vm health box", ""),
    ("until banger vm health box; do sleep 1; done", "wait for everything"),
)


def declare(parser: Parser) -> None:
    add_vms(parser)
    add_json(parser)


def run(context: Context, options: Namespace) -> int:
    status, outcomes = observe(context, options, what="health", show=lambda seen: render_health(seen, context.style))
    if status == exits.DONE and any(
        check["state"] in ("fail", "starting") for outcome in outcomes for check in outcome.get("checks", ())
    ):
        return exits.FAILED
    return status


def render_health(seen: list[Observation], style: Style) -> str:
    """A line for each check."""
    rows = [
        (
            outcome["name"] or "",
            check["name"],
            check["state"],
            format_duration(check["elapsed_s"]) if check["elapsed_s"] is not None else "",
            check["hint"],
        )
        for outcome in seen
        for check in outcome.get("checks", ())
    ]
    return render_table(("NAME", "CHECK", "STATE", "TOOK", "HINT"), rows, style, limit=120)
