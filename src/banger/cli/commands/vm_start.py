"""`banger vm start`."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from banger.cli.arguments import Parser
from banger.cli.targets import declare_targets, run_on_targets

if TYPE_CHECKING:
    from banger.cli.context import Context

USAGE = "VM... [--json] [-q]"
DESCRIPTION = "Start stopped VMs. Their disks are as they were; what ran in them is not started again."
EXAMPLES = (("banger vm start box", ""), ("banger vm start box otter", "both at once"))


def declare(parser: Parser) -> None:
    declare_targets(parser)


def run(context: Context, options: Namespace) -> int:
    return run_on_targets(context, options, verb="start", done="started")
