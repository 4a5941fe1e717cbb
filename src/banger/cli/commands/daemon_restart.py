"""`banger daemon restart`."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from banger.cli.arguments import Parser, add_json
from banger.cli.render import render_json

if TYPE_CHECKING:
    from banger.api.messages import Ping
    from banger.cli.context import Context

USAGE = "[--json]"
DESCRIPTION = "End the daemon if it runs, and start it again: after banger was updated, for example. VMs keep running."
EXAMPLES = (("banger daemon restart", ""),)


def declare(parser: Parser) -> None:
    add_json(parser)


def run(context: Context, options: Namespace) -> int:
    context.daemon.stop(context.tell)
    with context.open() as daemon:
        ping: Ping = daemon.get("/v1/ping")
    if options.json:
        context.write(render_json({"daemon": ping}))
    else:
        context.write(f"The daemon runs, version {ping['version']}, pid {ping['pid']}.\n")
    return 0
