"""`banger config path`."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from banger.cli.arguments import Parser, add_json
from banger.cli.render import render_json
from banger.core.untrusted import printable

if TYPE_CHECKING:
    from banger.cli.context import Context

USAGE = "[--json]"
DESCRIPTION = "Print where the configuration file is, or would be: banger needs none and writes none."
EXAMPLES = (("banger config path", ""), ('"$EDITOR" "$(banger config path)"', "write it"))


def declare(parser: Parser) -> None:
    add_json(parser)


def run(context: Context, options: Namespace) -> int:
    file = context.layout.config_file
    if options.json:
        context.write(render_json({"file": str(file), "exists": file.exists()}))
    else:
        context.write(f"{printable(str(file))}\n")
    return 0
