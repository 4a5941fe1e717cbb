"""`banger image build`."""

from __future__ import annotations

import os
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from banger.cli.arguments import Parser, add_json
from banger.cli.commands.image_pull import tell_image
from banger.cli.targets import add_quiet, follow
from banger.core.errors import Invalid
from banger.core.names import parse_image_name

if TYPE_CHECKING:
    from banger.cli.context import Context

USAGE = "RECIPE --name NAME [--json] [-q]"
DESCRIPTION = """\
Make an image from another one: with packages of Debian, files from beside the recipe, and what
commands do that run in a guest, never on this computer. The recipe is a TOML file; docs/images.md shows
all that it may say. The packages are downloaded here and compared with Debian's signed lists, so that the
guest needs no network for them."""
EXAMPLES = (
    ("banger image build tools.toml --name tools", ""),
    ("banger vm run --image tools --rm --no-workspace -- make --version", "use it"),
)


def declare(parser: Parser) -> None:
    parser.add_argument("recipe", metavar="RECIPE", help="a TOML file")
    parser.add_argument("--name", metavar="NAME", required=True, type=parse_image_name, help="name of the new image")
    add_json(parser)
    add_quiet(parser)


def run(context: Context, options: Namespace) -> int:
    path = os.path.abspath(options.recipe)
    if not Path(path).is_file():
        raise Invalid(f"there is no recipe {ascii(options.recipe)}", hint="give a TOML file")
    body = {"path": path, "name": options.name}
    tell_image(context, options, follow(context, options, path="/v1/images/build", body=body))
    return 0
