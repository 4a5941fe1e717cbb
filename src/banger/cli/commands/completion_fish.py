"""`banger completion fish`."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from banger.cli.arguments import Parser, add_json
from banger.cli.shells import print_script

if TYPE_CHECKING:
    from banger.cli.context import Context

USAGE = "[--json]"
DESCRIPTION = """\
Print what makes fish complete banger's words. `banger completion install` puts it where fish finds it;
this is for those who want to do that themselves."""
EXAMPLES = (("banger completion fish > banger.fish", "a file for ~/.config/fish/completions"),)


def declare(parser: Parser) -> None:
    add_json(parser)


def run(context: Context, options: Namespace) -> int:
    return print_script(context, options, "fish")
