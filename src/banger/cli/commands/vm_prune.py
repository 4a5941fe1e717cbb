"""`banger vm prune`."""

from __future__ import annotations

import time
from argparse import Namespace
from typing import TYPE_CHECKING, Final

from banger.cli.arguments import Parser, add_json
from banger.cli.asking import ask, check_somebody_answers
from banger.cli.commands.vm_list import render_vms
from banger.cli.render import count, render_json
from banger.cli.targets import act_on_targets, add_quiet

if TYPE_CHECKING:
    from banger.api.messages import VmView
    from banger.cli.context import Context

USAGE = "[-f] [--json] [-q]"
DESCRIPTION = """\
Delete every VM that does not run, with its disk. Shows what would go and asks first. Running and paused
VMs are never touched."""
EXAMPLES = (("banger vm prune", "shows them and asks"), ("banger vm prune -f", "does not ask"))
_KEPT: Final = ("running", "paused", "starting", "creating")


def declare(parser: Parser) -> None:
    parser.add_argument("-f", "--force", action="store_true", help="do not ask")
    add_json(parser)
    add_quiet(parser)


def run(context: Context, options: Namespace) -> int:
    with context.open() as daemon:
        listed: list[VmView] = daemon.get("/v1/vms")["vms"]
    doomed = sorted((vm for vm in listed if vm["state"] not in _KEPT), key=lambda vm: vm["name"])
    if not doomed:
        if options.json:
            context.write(render_json({"outcomes": []}))
        elif not options.quiet:
            context.tell("Every VM runs, or there is none: nothing to prune.")
        return 0
    if not options.force and not confirm(context, doomed):
        context.tell("Nothing was deleted.")
        return 1
    names = {vm["id"]: vm["name"] for vm in doomed}
    return act_on_targets(context, options, list(names), verb="prune", done="deleted", names=names)


def confirm(context: Context, doomed: list[VmView]) -> bool:
    """Show what would go and ask. Raises `Invalid` where nobody can answer."""
    check_somebody_answers(hint="give -f to delete without asking")
    context.tell(render_vms(doomed, context.error_style, now_s=time.time()).removesuffix("\n"))
    disks = "its disk" if len(doomed) == 1 else "their disks"
    return ask(f"Delete {count(len(doomed), 'VM')} and all that is on {disks}?")
