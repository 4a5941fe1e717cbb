"""`banger version`."""

from __future__ import annotations

import sys
from argparse import Namespace
from typing import TYPE_CHECKING

from banger import __version__
from banger.api.version import API_VERSION
from banger.cli.arguments import Parser, add_json
from banger.cli.render import render_fields, render_json

if TYPE_CHECKING:
    from banger.cli.context import Context

USAGE = "[--json]"
DESCRIPTION = "Print the versions of banger, of the API between command line and daemon, and of Python."
EXAMPLES = (("banger version", ""), ("banger --version", "one line"))


def declare(parser: Parser) -> None:
    add_json(parser)


def run(context: Context, options: Namespace) -> int:
    python = ".".join(map(str, sys.version_info[:3]))
    if options.json:
        context.write(render_json({"version": __version__, "api_version": API_VERSION, "python": python}))
    else:
        context.write(
            render_fields([("banger", __version__), ("api", str(API_VERSION)), ("python", python)], context.style)
        )
    return 0
