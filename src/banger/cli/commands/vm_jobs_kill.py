"""`banger vm jobs kill`."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from banger.cli.arguments import Parser, add_json, add_vm
from banger.cli.commands.vm_jobs_logs import add_job
from banger.cli.context import vm_path
from banger.cli.render import render_json
from banger.cli.targets import follow

if TYPE_CHECKING:
    from banger.api.messages import JobView
    from banger.cli.context import Context

USAGE = "VM JOB [--signal NAME] [--json]"
DESCRIPTION = """\
Send a signal to a job of a running VM, and to everything that it started and that did not leave its
group: TERM, if you do not say otherwise. One that takes no notice of it ends with KILL."""
EXAMPLES = (
    ("banger vm jobs kill box 1", ""),
    ("banger vm jobs kill box 1 --signal KILL", "when it takes no notice"),
)


def declare(parser: Parser) -> None:
    add_vm(parser)
    add_job(parser)
    parser.add_argument(
        "--signal", metavar="NAME", completes="signal", default="TERM", help="such as KILL, INT or HUP (default: TERM)"
    )
    add_json(parser)


def run(context: Context, options: Namespace) -> int:
    options.quiet = False
    path = vm_path(options.vm, f"/jobs/{options.job}/kill")
    job: JobView = follow(context, options, path=path, body={"signal": options.signal})
    if options.json:
        context.write(render_json(job))
    return 0
