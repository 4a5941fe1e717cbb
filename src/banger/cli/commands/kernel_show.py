"""`banger kernel show`."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from banger.cli.arguments import Parser, add_json
from banger.cli.available import add_which_platform, name_path, provenance_fields
from banger.cli.render import Style, format_time, render_fields, render_json
from banger.core.names import parse_image_name
from banger.core.sizes import format_size

if TYPE_CHECKING:
    from banger.api.messages import KernelDetail
    from banger.cli.context import Context

USAGE = "NAME [--platform PLATFORM] [--json]"
DESCRIPTION = "Show everything about a kernel: where it came from and who vouches for it, and which VMs use it."
EXAMPLES = (("banger kernel show debian-cloud", ""), ("banger kernel show debian-cloud --json", "for programs"))


def declare(parser: Parser) -> None:
    parser.add_argument("name", metavar="NAME", type=parse_image_name, help="name of a kernel", completes="kernel")
    add_which_platform(parser)
    add_json(parser)


def run(context: Context, options: Namespace) -> int:
    with context.open() as daemon:
        kernel: KernelDetail = daemon.get(name_path(options, kind="kernel"))
    context.write(render_json(kernel) if options.json else render_kernel(kernel, context.style))
    return 0


def render_kernel(kernel: KernelDetail, style: Style) -> str:
    """Names and values."""
    fields = [
        ("name", kernel["name"]),
        ("digest", kernel["digest"]),
        ("release", kernel["release"]),
        ("architecture", kernel["architecture"]),
        ("size", format_size(kernel["size_bytes"])),
        ("source", kernel["source"]),
        *provenance_fields(kernel["provenance"]),
        ("loaded first", ", ".join(kernel["boot_modules"])),
        ("VMs", ", ".join(kernel["vms"])),
        ("created", format_time(kernel["created_at_s"])),
    ]
    return render_fields([field for field in fields if field[1]], style)
