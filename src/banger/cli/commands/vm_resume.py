"""`banger vm resume`."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from banger.cli.arguments import Parser
from banger.cli.targets import declare_targets, run_on_targets

if TYPE_CHECKING:
    from banger.cli.context import Context

USAGE = "VM... [--json] [-q]"
DESCRIPTION = """\
Let paused VMs continue where they were."""
EXAMPLES = (("banger vm resume box", ""), ("banger vm resume box otter", "both at once"))


def declare(parser: Parser) -> None:
    declare_targets(parser)


def run(context: Context, options: Namespace) -> int:
    return run_on_targets(context, options, verb="resume", done="resumed")
