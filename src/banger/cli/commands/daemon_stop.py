"""`banger daemon stop`."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from banger.cli.arguments import Parser, add_json
from banger.cli.render import render_json

if TYPE_CHECKING:
    from banger.cli.context import Context

USAGE = "[--json]"
DESCRIPTION = """\
End the daemon and wait until it is gone. VMs keep running; the next command starts a daemon that takes
care of them again. Commands in progress are cancelled; what must not stay half done, such as the
stop of a VM, is finished first."""
EXAMPLES = (("banger daemon stop", ""),)


def declare(parser: Parser) -> None:
    add_json(parser)


def run(context: Context, options: Namespace) -> int:
    pid = context.daemon.stop(context.tell)
    if options.json:
        context.write(render_json({"stopped": pid is not None, "pid": pid}))
    else:
        context.write("The daemon was not running.\n" if pid is None else f"The daemon, pid {pid}, has ended.\n")
    return 0
