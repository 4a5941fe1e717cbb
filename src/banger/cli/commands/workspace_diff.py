"""`banger vm workspace diff`."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterator
from typing import TYPE_CHECKING

from banger.api import framing
from banger.cli import exits
from banger.cli.arguments import Parser, add_vm
from banger.cli.context import vm_path
from banger.cli.patch_text import render_files, render_patch, render_totals
from banger.cli.targets import add_quiet, follow
from banger.cli.workspaces import add_guest_path, which

if TYPE_CHECKING:
    from banger.api.client import Connection
    from banger.api.messages import ExportRequest, WorkspaceStatus, WorkspaceStatusRequest
    from banger.cli.context import Context

USAGE = "VM [--stat] [--guest-path DIR] [--base-commit COMMIT] [-q]"
DESCRIPTION = """\
Show what was done to the workspace in the guest, for reading: on a terminal in colours, without binary
content, and with nothing in it that could move the cursor. Elsewhere it is the patch that `export` prints."""
EXAMPLES = (
    ("banger vm workspace diff box --stat", "which files, and how much"),
    ("banger vm workspace diff box", "line by line"),
    ("banger vm workspace diff box --base-commit HEAD", "only what is not committed in the guest"),
)


def declare(parser: Parser) -> None:
    add_vm(parser)
    parser.add_argument("--stat", action="store_true", help="only the files, and how many lines changed in each")
    add_guest_path(parser)
    parser.add_argument("--base-commit", metavar="COMMIT", help="since this commit (default: the one that went in)")
    add_quiet(parser)


def run(context: Context, options: Namespace) -> int:
    if options.stat:
        return _show_totals(context, options)
    request: ExportRequest = {**which(options), "base_commit": options.base_commit}
    with context.open() as daemon:
        daemon.open_stream(vm_path(options.vm, "/workspace/export"), request)
        if sys.stdout.isatty():
            for line in render_patch(_pieces(daemon), context.style):
                context.write(line + "\n")
        else:
            for piece in _pieces(daemon):
                sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
    return exits.DONE


def _show_totals(context: Context, options: Namespace) -> int:
    request: WorkspaceStatusRequest = {
        **which(options),
        "base_commit": options.base_commit,
    }
    path = vm_path(options.vm, "/workspace/status")
    status: WorkspaceStatus = follow(context, options, path=path, body=request)
    lines = render_files(status["files"], total=status["file_count"], style=context.style)
    total = render_totals(status["file_count"], status["additions"], status["deletions"])
    context.write("".join(f"{line}\n" for line in (*lines, total)))
    return exits.DONE


def _pieces(daemon: Connection) -> Iterator[bytes]:
    for frame_type, payload in daemon.frames():
        if frame_type == framing.OUTPUT:
            yield payload
