"""`banger vm delete`."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from banger.cli.arguments import Parser
from banger.cli.targets import declare_targets, run_on_targets

if TYPE_CHECKING:
    from banger.cli.context import Context

USAGE = "VM... [--json] [-q]"
DESCRIPTION = """\
Stop VMs if they run and remove their disks. What was done in them is gone: export it first
with `banger vm workspace export`."""
EXAMPLES = (("banger vm delete box", ""), ("banger vm delete box otter", "both at once"))


def declare(parser: Parser) -> None:
    declare_targets(parser)


def run(context: Context, options: Namespace) -> int:
    return run_on_targets(context, options, verb="delete", done="deleted")
