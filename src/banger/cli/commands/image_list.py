"""`banger image list`."""

from __future__ import annotations

import time
from argparse import Namespace
from typing import TYPE_CHECKING

from banger.cli.arguments import Parser, add_json
from banger.cli.available import add_available, add_names_only, list_available, write_names
from banger.cli.render import Style, format_age, render_json, render_table, short_digest
from banger.core.sizes import format_size

if TYPE_CHECKING:
    from banger.api.messages import ImageView
    from banger.cli.context import Context

USAGE = "[--available] [--json | -q]"
DESCRIPTION = """\
List the images that are here, or with --available those that `image pull` gets by name from a catalogue.
INIT is the program that an image starts itself with; some have none."""
EXAMPLES = (
    ("banger image list", ""),
    ("banger image list --available", "what can be pulled by name"),
    ("banger image list --json", "for programs"),
    ("banger image list --available -q", "names only, for scripts"),
)


def declare(parser: Parser) -> None:
    add_available(parser, kind="image")
    add_json(parser)
    add_names_only(parser)


def run(context: Context, options: Namespace) -> int:
    if options.available:
        return list_available(context, options, kind="image")
    with context.open() as daemon:
        answer = daemon.get("/v1/images")
    images: list[ImageView] = sorted(answer["images"], key=lambda image: image["name"])
    if options.json:
        context.write(render_json({"images": images}))
    elif options.quiet:
        write_names(context, images)
    elif not images:
        context.tell("There is no image. `banger image pull` makes the default one; so does the first `banger vm run`.")
    else:
        context.write(render_images(images, context.style, now_s=time.time()))
    return 0


def render_images(images: list[ImageView], style: Style, *, now_s: float) -> str:
    """The table."""
    rows = [
        (
            image["name"],
            format_size(image["size_bytes"]),
            image["architecture"],
            image["init"] or "",
            short_digest(image["digest"]),
            image["source"],
            format_age(image["created_at_s"], now_s),
        )
        for image in images
    ]
    return render_table(("NAME", "SIZE", "ARCH", "INIT", "DIGEST", "SOURCE", "CREATED"), rows, style)
