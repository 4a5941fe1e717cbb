"""`banger vm ports`."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from banger.cli.arguments import Parser, add_json, add_vms
from banger.cli.observations import observe
from banger.cli.render import Style, render_table

if TYPE_CHECKING:
    from banger.api.messages import Observation
    from banger.cli.context import Context

USAGE = "VM... [--json]"
DESCRIPTION = """\
List what listens in running VMs, with the process that has it. Each TCP port is asked in the guest whether
it speaks HTTP or HTTPS; where it does there is a URL, as programs in the guest call it."""
EXAMPLES = (("banger vm ports box", ""), ("banger vm ports box otter --json", "for programs"))


def declare(parser: Parser) -> None:
    add_vms(parser)
    add_json(parser)


def run(context: Context, options: Namespace) -> int:
    def show(seen: list[Observation]) -> str:
        if not any(outcome.get("ports") for outcome in seen):
            context.tell("Nothing listens there.")
            return ""
        return render_ports(seen, context.style)

    status, _ = observe(context, options, what="ports", show=show)
    return status


def render_ports(seen: list[Observation], style: Style) -> str:
    """The table."""
    rows = [
        (
            outcome["name"] or "",
            port["protocol"],
            port["address"],
            str(port["port"]),
            port["process"] + (f" ({port['pid']})" if port["pid"] is not None else ""),
            port["url"] or "",
        )
        for outcome in seen
        for port in outcome.get("ports", ())
    ]
    return render_table(("NAME", "PROTO", "ADDRESS", "PORT", "PROCESS", "URL"), rows, style)
