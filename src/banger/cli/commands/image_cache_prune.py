"""`banger image cache prune`."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from banger.cli.arguments import Parser, add_json
from banger.cli.render import count, render_json
from banger.cli.targets import add_quiet, follow
from banger.core.sizes import format_size
from banger.core.untrusted import printable

if TYPE_CHECKING:
    from banger.api.messages import PruneResult
    from banger.cli.context import Context

USAGE = "[--dry-run] [--json] [-q]"
DESCRIPTION = """\
Remove what can be downloaded again and nothing needs now: downloads for images that are gone, pulls that were
interrupted a week ago, unpacked layers that are kept so that images which share them are made quickly,
and images and kernels that lost their name to newer ones and that no VM boots."""
EXAMPLES = (
    ("banger image cache prune --dry-run", "how much would that be?"),
    ("banger image cache prune", ""),
)


def declare(parser: Parser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="only say what would be removed")
    add_json(parser)
    add_quiet(parser)


def run(context: Context, options: Namespace) -> int:
    body = {"dry_run": options.dry_run}
    result: PruneResult = follow(context, options, path="/v1/images/cache/prune", body=body)
    if options.json:
        context.write(render_json(result))
    elif not options.quiet:
        parts = [
            count(number, thing)
            for number, thing in (
                (result["blobs"], "download"),
                (result["layers"], "unpacked layer"),
                (result["images"], "image"),
                (result["kernels"], "kernel"),
            )
            if number
        ]
        verb = "would free" if options.dry_run else "freed"
        what = ", ".join(parts) or "nothing"
        context.write(f"{verb} {format_size(result['freed_bytes'])} in {printable(result['directory'])}: {what}\n")
    return 0
