"""`banger image export`."""

from __future__ import annotations

import os
from argparse import Namespace
from typing import TYPE_CHECKING

from banger.cli.arguments import Parser, add_json
from banger.cli.machine import add_platform
from banger.cli.output_file import open_output, receive_output
from banger.cli.progress import Progress
from banger.cli.render import render_json, short_digest
from banger.cli.targets import add_quiet
from banger.core.errors import Invalid
from banger.core.names import parse_image_name
from banger.core.sizes import format_size
from banger.core.untrusted import printable

if TYPE_CHECKING:
    from banger.api.messages import ExportedImage, ImageExportRequest
    from banger.cli.context import Context

USAGE = "NAME [-o FILE] [--format oci|docker|tar] [--platform PLATFORM] [--json] [-q]"
DESCRIPTION = """\
Write an image as an archive that other tools read: an OCI archive (for skopeo, podman and umoci, and for
`banger image import`), one that `docker load` takes, or a plain tar of the root directory. Everything is in
one layer, with the image's program, environment, user and labels beside it. The same image always gives
the same bytes; one that is damaged in the store gives none."""
EXAMPLES = (
    ("banger image export tiny -o tiny.oci.tar", "whole or not at all"),
    ("banger image export tiny --format docker | docker load", ""),
    ("banger image export tiny --format tar | tar -tv", "what is in it?"),
)


def declare(parser: Parser) -> None:
    parser.add_argument("name", metavar="NAME", type=parse_image_name, help="name of an image", completes="image")
    parser.add_argument("-o", "--output", metavar="FILE", help="write to this file, whole or not at all")
    parser.add_argument(
        "--format", choices=("oci", "docker", "tar"), default="oci", help="what kind of archive (default: oci)"
    )
    add_platform(parser, "which one, where there are several (default: this computer's own)")
    add_json(parser)
    add_quiet(parser)


def run(context: Context, options: Namespace) -> int:
    output_name = options.output if options.output != "-" else None
    if output_name is None and options.json:
        raise Invalid("standard output cannot have both the archive and JSON", hint="give --output FILE")
    if output_name is None and os.isatty(1):
        raise Invalid("an archive is nothing for a terminal", hint="give --output FILE, or pipe it into a program")
    request: ImageExportRequest = {"format": options.format}
    if options.platform is not None:
        request["platform"] = options.platform
    with (
        Progress.for_terminal(context.environment, quiet=options.quiet) as progress,
        open_output(output_name) as output,
        context.open() as daemon,
    ):
        daemon.open_stream(f"/v1/images/{options.name}/export", request)
        exported: ExportedImage = receive_output(daemon, output, progress)
    if options.json:
        context.write(render_json(exported))
    elif not options.quiet:
        digest = short_digest(exported["archive_digest"] or exported["digest"])
        context.tell(f"{printable(exported['name'])} {printable(digest)} {format_size(exported['size_bytes'])}")
    return 0
