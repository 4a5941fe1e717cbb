"""`banger vm workspace fetch`."""

from __future__ import annotations

import sys
from argparse import Namespace
from typing import TYPE_CHECKING

from banger.cli import exits
from banger.cli.arguments import Parser, add_json, add_vm
from banger.cli.context import vm_path
from banger.cli.patch_text import render_findings, render_totals
from banger.cli.render import Style, render_json, render_table
from banger.cli.targets import add_quiet, follow
from banger.cli.workspaces import add_guest_path, which
from banger.core.untrusted import printable

if TYPE_CHECKING:
    from banger.api.messages import FetchedBranchView, FetchRequest, FetchResult
    from banger.cli.context import Context

USAGE = "VM [--force] [--guest-path DIR] [--json] [-q]"
DESCRIPTION = """\
Get the commits that were made in a workspace as branches of the repository that it was copied from: the
guest's branch `topic` becomes `banger/VM/topic`. Your branches, index and working tree stay as they are.

The commits come into a repository apart first, where every object is checked; commits whose files no patch
may have are refused. Changes that are not committed in the guest come with `banger vm workspace apply`.

What the branches change, and what of it is worth a look, goes to standard error."""
EXAMPLES = (
    ("banger vm workspace fetch box", "then: git log main..banger/box/main"),
    ("banger vm workspace fetch box --force", "also branches that were rewritten there"),
    ("banger vm workspace fetch box --json", "for a program"),
)


def declare(parser: Parser) -> None:
    add_vm(parser)
    parser.add_argument("-f", "--force", action="store_true", help="replace branches that were rewritten in the guest")
    add_guest_path(parser)
    add_json(parser)
    add_quiet(parser)


def run(context: Context, options: Namespace) -> int:
    request: FetchRequest = {**which(options), "force": options.force}
    result: FetchResult = follow(context, options, path=vm_path(options.vm, "/workspace/fetch"), body=request)
    if options.json:
        context.write(render_json(result))
        return exits.DONE
    rows = [
        (branch["branch"], branch["state"], str(branch["commits"]), branch["commit"][:12])
        for branch in result["branches"]
    ]
    if rows:
        context.write(render_table(("BRANCH", "STATE", "COMMITS", "HEAD"), rows, context.style, limit=200))
        sys.stdout.flush()
        if not options.quiet:
            for branch in result["branches"]:
                if branch["state"] != "unchanged":
                    context.tell(render_review(branch, context.error_style))
    elif not options.quiet:
        context.tell(f"Nothing was committed in the guest that {printable(result['source'])} does not have.")
    return exits.DONE


def render_review(branch: FetchedBranchView, style: Style) -> str:
    """What came with a branch, for standard error."""
    name, review = printable(branch["branch"]), branch["review"]
    if review is None:
        return f"{name}: what it changes is not summed up; `git diff` shows it"
    totals = render_totals(review["file_count"], review["additions"], review["deletions"])
    return "\n".join((f"{name}: {totals}", *render_findings(review["findings"], style)))
