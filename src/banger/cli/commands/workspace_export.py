"""`banger vm workspace export`."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING, Final

from banger.cli.arguments import Parser, add_vm
from banger.cli.context import vm_path
from banger.cli.output_file import open_output, receive_output
from banger.cli.patch_text import render_files, render_findings, render_totals
from banger.cli.progress import Progress
from banger.cli.render import Style
from banger.cli.targets import add_quiet
from banger.cli.workspaces import add_guest_path, which
from banger.core.sizes import format_size
from banger.core.untrusted import printable

if TYPE_CHECKING:
    from banger.api.messages import ExportRequest, ExportResult
    from banger.cli.context import Context

USAGE = "VM [--output FILE] [--guest-path DIR] [--base-commit COMMIT] [-q]"
DESCRIPTION = """\
Print a patch of everything that was done to the workspace in the guest: commits, changes, new files that
are not ignored. It is binary-safe, and is refused as a whole before its first byte if any of it would
touch something outside the repository or git's own files. What is in it, and what is worth a look before
it is applied, goes to standard error."""
EXAMPLES = (
    ("banger vm workspace export box > fix.patch", "then: git apply --check fix.patch"),
    ("banger vm workspace export box --output fix.patch", "whole or not at all"),
    ("banger vm workspace export box | git apply", "straight into the working tree"),
    ("banger vm workspace export box --base-commit HEAD~3", "since an earlier commit"),
)
_SHOWN_FILES: Final = 20


def declare(parser: Parser) -> None:
    add_vm(parser)
    parser.add_argument("-o", "--output", metavar="FILE", help="write to this file, whole or not at all")
    add_guest_path(parser)
    parser.add_argument("--base-commit", metavar="COMMIT", help="since this commit (default: the one that went in)")
    add_quiet(parser)


def run(context: Context, options: Namespace) -> int:
    request: ExportRequest = {**which(options), "base_commit": options.base_commit}
    path = vm_path(options.vm, "/workspace/export")
    with (
        Progress.for_terminal(context.environment, quiet=options.quiet) as progress,
        open_output(options.output) as output,
        context.open() as daemon,
    ):
        daemon.open_stream(path, request)
        result: ExportResult = receive_output(daemon, output, progress)
    if not options.quiet:
        context.tell(render_summary(result, context.error_style))
    return 0


def render_summary(result: ExportResult, style: Style) -> str:
    """What a reader wants to know about a patch, for standard error."""
    if not result["files"]:
        return "Nothing was changed in the guest: the patch is empty."
    lines = render_files(result["files"][:_SHOWN_FILES], total=result["file_count"], style=style)
    totals = render_totals(result["file_count"], result["additions"], result["deletions"])
    lines.append(f"{totals}, {format_size(result['size_bytes'])}, since {printable(result['base_commit'])[:12]}")
    return "\n".join((*lines, *render_findings(result["findings"], style)))
