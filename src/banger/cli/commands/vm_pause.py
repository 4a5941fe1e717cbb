"""`banger vm pause`."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from banger.cli.arguments import Parser
from banger.cli.targets import declare_targets, run_on_targets

if TYPE_CHECKING:
    from banger.cli.context import Context

USAGE = "VM... [--json] [-q]"
DESCRIPTION = """\
Stop the processors of running VMs. They keep their memory and continue with `banger vm resume`."""
EXAMPLES = (("banger vm pause box", ""), ("banger vm resume box", "go on"))


def declare(parser: Parser) -> None:
    declare_targets(parser)


def run(context: Context, options: Namespace) -> int:
    return run_on_targets(context, options, verb="pause", done="paused")
