"""`banger kernel rm`."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from banger.cli.arguments import Parser
from banger.cli.available import declare_names, delete_names

if TYPE_CHECKING:
    from banger.cli.context import Context

USAGE = "NAME... [--platform PLATFORM] [--json] [-q]"
DESCRIPTION = """\
Remove kernels from this computer. One that a VM boots, now or the next time, is kept, and the VM is named."""
EXAMPLES = (("banger kernel rm mine", ""),)


def declare(parser: Parser) -> None:
    declare_names(parser, kind="kernel")


def run(context: Context, options: Namespace) -> int:
    return delete_names(context, options, kind="kernel")
