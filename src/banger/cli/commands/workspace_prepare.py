"""`banger vm workspace prepare`."""

from __future__ import annotations

import os
from argparse import Namespace
from typing import TYPE_CHECKING

from banger.cli import exits
from banger.cli.arguments import Parser, add_json, add_vm
from banger.cli.context import vm_path
from banger.cli.render import count, format_duration, render_json
from banger.cli.repository import find_repository
from banger.cli.targets import add_quiet, follow
from banger.cli.workspace_options import declare_workspace, show_plan, workspace_options
from banger.core.sizes import format_size
from banger.core.untrusted import printable

if TYPE_CHECKING:
    from banger.api.messages import PrepareRequest, PrepareResult
    from banger.cli.context import Context

USAGE = "VM [PATH] [options]"
DESCRIPTION = """\
Put the repository that PATH is in (default: the one that you are in) into a running VM. If it is there
already, bring it up to date: what moves is what changed here since the last time.

What was done in the guest stays, where nothing changed here. Where both sides changed the same file, or
the guest has commits that are not here, nothing is done, unless --overwrite says that the guest's files
and commits may be replaced. Ignored files in the guest, such as what was built, stay in any case.

Flags that say what travels are remembered: the next time they need not be given again."""
EXAMPLES = (
    ("banger vm workspace prepare box", "after work on this side: only what changed moves"),
    ("banger vm workspace prepare box ../other", "one more repository, in /root/other"),
    ("banger vm workspace prepare box ../other --guest-path /srv/app", "the same in another place"),
    ("banger vm workspace prepare box --overwrite", "whatever was done there"),
    ("banger vm workspace prepare box --dry-run", "the files it is to have; nothing is done"),
)


def declare(parser: Parser) -> None:
    add_vm(parser)
    parser.add_argument("path", metavar="PATH", nargs="?", default=os.curdir, help="a directory of a git repository")
    declare_workspace(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace what was done to the workspace in the guest")
    add_json(parser)
    add_quiet(parser)


def run(context: Context, options: Namespace) -> int:
    find_repository(options.path)
    asked = workspace_options(options)
    if options.dry_run:
        show_plan(context, options.path, asked, as_json=options.json)
        return exits.DONE
    request: PrepareRequest = {**asked, "path": os.path.abspath(options.path), "overwrite": options.overwrite}
    result: PrepareResult = follow(context, options, path=vm_path(options.vm, "/workspace/prepare"), body=request)
    if options.json:
        context.write(render_json(result))
    elif not options.quiet:
        context.tell(render_summary(result, options.vm))
    return exits.DONE


def render_summary(result: PrepareResult, vm: str) -> str:
    """What was done, in one line."""
    place = f"{vm}:{printable(result['guest_path'])}"
    took = format_duration(result["elapsed_s"])
    if not result["created"] and not result["files"] and not result["removed"]:
        return f"{place} is up to date ({took})"
    files = count(result["files"], "file")
    gone = f", {result['removed']} removed" if result["removed"] else ""
    what = "copied to" if result["created"] else "brought to"
    return f"{files}{gone} ({format_size(result['size_bytes'])}) {what} {place} in {took}"
