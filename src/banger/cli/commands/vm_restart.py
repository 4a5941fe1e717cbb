"""`banger vm restart`."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from banger.cli.arguments import Parser
from banger.cli.targets import add_verbose, add_wait, declare_targets, run_on_targets, waiting

if TYPE_CHECKING:
    from banger.cli.context import Context

USAGE = "VM... [--wait WHAT] [--json] [-q | -v]"
DESCRIPTION = """\
Shut VMs down cleanly and start them again, with what `banger vm set` changed. A stopped VM is started."""
EXAMPLES = (("banger vm restart box", ""), ("banger vm restart box otter", "both at once"))


def declare(parser: Parser) -> None:
    declare_targets(parser)
    add_verbose(parser)
    add_wait(parser)


def run(context: Context, options: Namespace) -> int:
    return run_on_targets(context, options, verb="restart", done="restarted", more=waiting(options))
