"""`banger kernel pull`."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from banger.cli.arguments import Parser, add_json
from banger.cli.machine import add_platform
from banger.cli.render import render_json, short_digest
from banger.cli.targets import add_quiet, follow
from banger.core.names import parse_image_name
from banger.core.sizes import format_size
from banger.core.untrusted import printable

if TYPE_CHECKING:
    from banger.api.messages import KernelView
    from banger.cli.context import Context

USAGE = "[NAME] [--platform PLATFORM] [--json] [-q]"
DESCRIPTION = """\
Get a kernel from a catalogue, as its source has it now. The default is debian-cloud, from Debian's
signed archive. VMs keep the kernel that they were made with."""
EXAMPLES = (
    ("banger kernel pull", "the newest debian-cloud"),
    ("banger kernel pull debian-cloud --json", "for programs"),
)


def declare(parser: Parser) -> None:
    parser.add_argument(
        "name",
        metavar="NAME",
        nargs="?",
        type=parse_image_name,
        default="debian-cloud",
        help="default: debian-cloud",
        completes="kernel-to-pull",
    )
    add_platform(parser, "for which guests, such as linux/arm64 (default: this computer's own)")
    add_json(parser)
    add_quiet(parser)


def run(context: Context, options: Namespace) -> int:
    body = {"name": options.name, "platform": options.platform}
    tell_kernel(context, options, follow(context, options, path="/v1/kernels/pull", body=body))
    return 0


def tell_kernel(context: Context, options: Namespace, kernel: KernelView) -> None:
    """One line, or the document, about a kernel that is ready now."""
    if options.json:
        context.write(render_json(kernel))
    elif not options.quiet:
        about = (kernel["name"], kernel["release"], short_digest(kernel["digest"]), format_size(kernel["size_bytes"]))
        context.write(" ".join(map(printable, about)) + "\n")
