"""`banger vm workspace status`."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from banger.cli import exits
from banger.cli.arguments import Parser, add_json, add_vm
from banger.cli.context import vm_path
from banger.cli.patch_text import render_files, render_totals
from banger.cli.render import Style, count, render_fields, render_json
from banger.cli.targets import add_quiet, follow
from banger.cli.workspaces import add_guest_path, which
from banger.core.untrusted import printable

if TYPE_CHECKING:
    from banger.api.messages import WorkspaceStatus, WorkspaceStatusRequest
    from banger.cli.context import Context

USAGE = "VM [--guest-path DIR] [--json] [-q]"
DESCRIPTION = """\
Show what was done in a workspace since it was copied: commits, files, lines. And what became of the
repository on this computer meanwhile: whether it moved, and whether it has changes of its own."""
EXAMPLES = (
    ("banger vm workspace status box", "is there anything to bring back?"),
    ("banger vm workspace status box --json", "for a program"),
)


def declare(parser: Parser) -> None:
    add_vm(parser)
    add_guest_path(parser)
    add_json(parser)
    add_quiet(parser)


def run(context: Context, options: Namespace) -> int:
    request: WorkspaceStatusRequest = {**which(options), "base_commit": None}
    status: WorkspaceStatus = follow(context, options, path=vm_path(options.vm, "/workspace/status"), body=request)
    context.write(render_json(status) if options.json else render_status(status, context.style))
    return exits.DONE


def render_status(status: WorkspaceStatus, style: Style) -> str:
    """Everything about a workspace, then its files."""
    fields = [
        ("workspace", printable(status["guest_path"])),
        ("copied from", f"{printable(status['source'])} at {_commit(status['copied_head'])}"),
        ("in the guest", describe_guest(status)),
        ("here", describe_host(status)),
    ]
    lines = render_files(status["files"], total=status["file_count"], style=style)
    total = render_totals(status["file_count"], status["additions"], status["deletions"])
    changes = "\n".join((*lines, total)) if lines else "Nothing was changed in the guest."
    return render_fields(fields, style) + "\n" + changes + "\n"


def describe_guest(status: WorkspaceStatus) -> str:
    """Branch, HEAD and commits of the guest."""
    where = _place(status["guest_branch"], status["guest_head"])
    if status["guest_commits"] is None:
        return where
    return f"{where}, {count(status['guest_commits'], 'new commit')}"


def describe_host(status: WorkspaceStatus) -> str:
    """The same of the repository here, and whether it is still the one that was copied."""
    if status["host_changes"] is None:
        return "the repository cannot be read any more"
    parts = [_place(status["host_branch"], status["host_head"])]
    parts.append("as it was copied" if status["host_head"] == status["copied_head"] else "moved since the copy")
    if status["host_changes"]:
        parts.append(f"{count(status['host_changes'], 'file')} not committed")
    return ", ".join(parts)


def _place(branch: str | None, head: str | None) -> str:
    return f"{printable(branch) if branch else 'no branch'} at {_commit(head)}"


def _commit(oid: str | None) -> str:
    return printable(oid)[:12] if oid else "no commit"
