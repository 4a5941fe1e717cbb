"""`banger config check`."""

from __future__ import annotations

import os
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from banger.cli.arguments import Parser, add_json
from banger.cli.render import render_json
from banger.core.config.reading import find_home, read_configuration
from banger.core.errors import NotFound
from banger.core.untrusted import printable

if TYPE_CHECKING:
    from banger.cli.context import Context

USAGE = "[FILE] [--json]"
DESCRIPTION = """\
Say whether the configuration file, or FILE in its place, is good, and what is wrong with it if it is not.
With an invalid file the daemon does not start. Nothing is changed."""
EXAMPLES = (
    ("banger config check", ""),
    ("banger config check draft.toml", "before it is put in place"),
    ("banger config check && banger daemon restart", "make a change count"),
)


def declare(parser: Parser) -> None:
    parser.add_argument("file", metavar="FILE", nargs="?", help="another file instead of the one in force")
    add_json(parser)


def run(context: Context, options: Namespace) -> int:
    file = context.layout.config_file if options.file is None else Path(options.file)
    if options.file is not None and not os.path.lexists(file):
        raise NotFound(f"there is no file {ascii(options.file)}", hint="`banger config path` prints the usual place")
    read_configuration(file, home=find_home(context.environment, uid=os.getuid()))
    exists = file.exists()
    if options.json:
        context.write(render_json({"file": str(file), "exists": exists}))
    else:
        context.write(f"{printable(str(file))} is {'valid' if exists else 'missing, which is fine'}\n")
    return 0
