"""`banger vm start`."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from banger.cli.arguments import Parser
from banger.cli.targets import add_verbose, add_wait, declare_targets, run_on_targets, waiting

if TYPE_CHECKING:
    from banger.cli.context import Context

USAGE = "VM... [--wait WHAT] [--json] [-q | -v]"
DESCRIPTION = """\
Start stopped VMs. Their disks are as they were; what ran in them is not started again. A VM is ready when
its agent answers, which is before its own services run; --wait ssh waits for its ssh server too."""
EXAMPLES = (
    ("banger vm start box", ""),
    ("banger vm start box otter", "both at once"),
    ("banger vm start box -v", "and what took how long"),
    ("banger vm start box --wait ssh", "for what reaches it from outside at once"),
)


def declare(parser: Parser) -> None:
    declare_targets(parser)
    add_verbose(parser)
    add_wait(parser)


def run(context: Context, options: Namespace) -> int:
    return run_on_targets(context, options, verb="start", done="started", more=waiting(options))
