"""`banger vm rename`."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from banger.cli.arguments import Parser, add_json, add_vm
from banger.cli.machine import NO_CHANGE
from banger.cli.targets import act_on_targets, add_quiet
from banger.core.names import parse_vm_name

if TYPE_CHECKING:
    from banger.cli.context import Context

USAGE = "VM NAME [--json] [-q]"
DESCRIPTION = """\
Give a VM another name. A running VM is called by it at once; its guest takes it as its host name at the
next start."""
EXAMPLES = (("banger vm rename box crate", ""),)


def declare(parser: Parser) -> None:
    add_vm(parser)
    parser.add_argument("name", metavar="NAME", type=parse_vm_name, help="the new name")
    add_json(parser)
    add_quiet(parser)


def run(context: Context, options: Namespace) -> int:
    more = {**NO_CHANGE, "name": options.name}
    return act_on_targets(context, options, [options.vm], verb="set", done="is its name now", more=more)
