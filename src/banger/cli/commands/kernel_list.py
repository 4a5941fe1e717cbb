"""`banger kernel list`."""

from __future__ import annotations

import time
from argparse import Namespace
from typing import TYPE_CHECKING

from banger.cli.arguments import Parser, add_json
from banger.cli.available import add_available, add_names_only, list_available, write_names
from banger.cli.render import Style, format_age, render_json, render_table, short_digest
from banger.core.sizes import format_size

if TYPE_CHECKING:
    from banger.api.messages import KernelView
    from banger.cli.context import Context

USAGE = "[--available] [--json | -q]"
DESCRIPTION = """\
List the kernels that are here, or with --available those that `kernel pull` gets by name from a catalogue.
The default one comes with `banger image pull` and the first `banger vm run`."""
EXAMPLES = (
    ("banger kernel list", ""),
    ("banger kernel list --available", "what can be pulled by name"),
    ("banger kernel list --json", "for programs"),
)


def declare(parser: Parser) -> None:
    add_available(parser, kind="kernel")
    add_json(parser)
    add_names_only(parser)


def run(context: Context, options: Namespace) -> int:
    if options.available:
        return list_available(context, options, kind="kernel")
    with context.open() as daemon:
        answer = daemon.get("/v1/kernels")
    kernels: list[KernelView] = sorted(answer["kernels"], key=lambda kernel: kernel["name"])
    if options.json:
        context.write(render_json({"kernels": kernels}))
    elif options.quiet:
        write_names(context, kernels)
    elif not kernels:
        context.tell("There is no kernel. `banger image pull` brings the default one.")
    else:
        context.write(render_kernels(kernels, context.style, now_s=time.time()))
    return 0


def render_kernels(kernels: list[KernelView], style: Style, *, now_s: float) -> str:
    """The table."""
    rows = [
        (
            kernel["name"],
            kernel["release"],
            format_size(kernel["size_bytes"]),
            kernel["architecture"],
            short_digest(kernel["digest"]),
            kernel["source"],
            format_age(kernel["created_at_s"], now_s),
        )
        for kernel in kernels
    ]
    return render_table(("NAME", "RELEASE", "SIZE", "ARCH", "DIGEST", "SOURCE", "CREATED"), rows, style)
