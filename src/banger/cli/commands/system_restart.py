"""`banger system restart`."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from banger.cli.arguments import Parser, add_json
from banger.cli.commands import daemon_restart
from banger.cli.render import render_json
from banger.cli.service import UserService

if TYPE_CHECKING:
    from banger.api.messages import Ping
    from banger.cli.context import Context

USAGE = "[--json]"
DESCRIPTION = """\
Restart the daemon and wait until it answers: as the service that `banger system install` made of it, or as
`banger daemon restart` does where it is none. VMs keep running."""
EXAMPLES = (("banger system restart", "after banger was updated"),)


def declare(parser: Parser) -> None:
    add_json(parser)


def run(context: Context, options: Namespace) -> int:
    service = UserService(context)
    if not service.installed:
        return daemon_restart.run(context, options)
    service.check()
    service.write()
    ping: Ping = service.restart()
    if options.json:
        context.write(render_json({"daemon": ping}))
    else:
        context.write(f"The service runs, version {ping['version']}, pid {ping['pid']}.\n")
    return 0
