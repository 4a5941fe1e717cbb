"""`banger image delete`."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from banger.cli.arguments import Parser
from banger.cli.available import declare_names, delete_names

if TYPE_CHECKING:
    from banger.cli.context import Context

USAGE = "NAME... [--platform PLATFORM] [--json] [-q]"
DESCRIPTION = """\
Remove images from this computer. One that a VM boots, now or the next time, is kept, and the VM is named.
What was downloaded for it stays in the cache; see `banger image cache prune`."""
EXAMPLES = (
    ("banger image delete tiny", ""),
    ("banger image delete tiny alpine-3-20", "both"),
)


def declare(parser: Parser) -> None:
    declare_names(parser, kind="image")


def run(context: Context, options: Namespace) -> int:
    return delete_names(context, options, kind="image")
