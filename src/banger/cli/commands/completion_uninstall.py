"""`banger completion uninstall`."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from banger.cli.arguments import Parser
from banger.cli.render import render_json
from banger.cli.shells import choose_shell, declare_shell, plan_place, uninstall

if TYPE_CHECKING:
    from banger.cli.context import Context

USAGE = "[--shell bash|zsh|fish] [--json]"
DESCRIPTION = "Remove what `banger completion install` put into your home, and nothing else."
EXAMPLES = (("banger completion uninstall --shell zsh", ""),)


def declare(parser: Parser) -> None:
    declare_shell(parser)


def run(context: Context, options: Namespace) -> int:
    shell = choose_shell(options.shell, context.environment)
    place = plan_place(shell, context.environment)
    changed = uninstall(place)
    if options.json:
        context.write(render_json({"shell": shell, "script": str(place.script), "changed": changed}))
    else:
        context.write(f"removed from {shell}\n" if changed else f"{shell} had none\n")
    return 0
