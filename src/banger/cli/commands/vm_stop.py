"""`banger vm stop`."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from banger.cli.arguments import Parser
from banger.cli.targets import declare_targets, run_on_targets

if TYPE_CHECKING:
    from banger.cli.context import Context

USAGE = "VM... [--json] [-q]"
DESCRIPTION = """\
Shut VMs down cleanly. Their disks stay, and `banger vm start` brings them back.

A guest that does not answer within 10 seconds hangs, and is ended at once. One that answers has 5 minutes
to write its data to its disk, and then 45 seconds to switch itself off, before it is ended."""
EXAMPLES = (("banger vm stop box", ""), ("banger vm stop box otter", "both at once"))


def declare(parser: Parser) -> None:
    declare_targets(parser)


def run(context: Context, options: Namespace) -> int:
    return run_on_targets(context, options, verb="stop", done="stopped")
