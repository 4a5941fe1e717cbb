"""`banger image pull`."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from banger.cli.arguments import Parser, add_json
from banger.cli.render import render_json, short_digest
from banger.cli.targets import add_quiet, follow
from banger.core.sizes import format_size
from banger.core.untrusted import printable

if TYPE_CHECKING:
    from banger.api.messages import ImageView
    from banger.cli.context import Context

USAGE = "[NAME] [--json] [-q]"
DESCRIPTION = """\
Make an image, and the default kernel with it, ready for use. The default is debian-bookworm, made from
Debian's signed archive. Does nothing when both are here."""
EXAMPLES = (("banger image pull", "debian-bookworm"), ("banger image pull debian-bookworm --json", "for programs"))


def declare(parser: Parser) -> None:
    parser.add_argument("name", metavar="NAME", nargs="?", default="debian-bookworm", help="default: debian-bookworm")
    add_json(parser)
    add_quiet(parser)


def run(context: Context, options: Namespace) -> int:
    image: ImageView = follow(context, options, path="/v1/images/pull", body={"name": options.name})
    tell_image(context, options, image)
    return 0


def tell_image(context: Context, options: Namespace, image: ImageView) -> None:
    """One line, or the document, about an image that is ready now."""
    if options.json:
        context.write(render_json(image))
    elif not options.quiet:
        size = format_size(image["size_bytes"])
        context.write(f"{printable(image['name'])} {printable(short_digest(image['digest']))} {size}\n")
