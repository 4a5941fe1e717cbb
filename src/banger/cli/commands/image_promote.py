"""`banger image promote`."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from banger.cli.arguments import Parser, add_json
from banger.cli.available import add_which_platform
from banger.cli.commands.image_pull import tell_image
from banger.cli.targets import add_quiet, follow
from banger.core.names import parse_image_name

if TYPE_CHECKING:
    from banger.cli.context import Context

USAGE = "NAME [--platform PLATFORM] [--json] [-q]"
DESCRIPTION = """\
Copy the file of a registered image into the store, comparing every byte with what was registered. From
then on the file may change or go; VMs that were made before still boot the file."""
EXAMPLES = (("banger image promote mine", ""),)


def declare(parser: Parser) -> None:
    parser.add_argument(
        "name", metavar="NAME", type=parse_image_name, help="name of a registered image", completes="image"
    )
    add_which_platform(parser)
    add_json(parser)
    add_quiet(parser)


def run(context: Context, options: Namespace) -> int:
    body = {"name": options.name, "platform": options.platform}
    tell_image(context, options, follow(context, options, path="/v1/images/promote", body=body))
    return 0
