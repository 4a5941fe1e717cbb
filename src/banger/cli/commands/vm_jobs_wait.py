"""`banger vm jobs wait`."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from banger.cli import exits
from banger.cli.arguments import Parser, add_json, add_vm
from banger.cli.commands.vm_jobs_logs import add_job
from banger.cli.context import vm_path
from banger.cli.render import render_json
from banger.cli.targets import follow

if TYPE_CHECKING:
    from banger.api.messages import JobView
    from banger.cli.context import Context

USAGE = "VM JOB... [--json]"
DESCRIPTION = """\
Wait until jobs of a running VM have ended. The exit status is the job's; of several, that of the first
in the order given that is not 0. Ctrl-C ends the waiting, and not the job."""
EXAMPLES = (
    ("banger vm jobs wait box 1", "ends with its status"),
    ("banger vm jobs wait box 1 2", "both"),
)


def declare(parser: Parser) -> None:
    add_vm(parser)
    add_job(parser, several=True)
    add_json(parser)


def run(context: Context, options: Namespace) -> int:
    options.quiet = False
    paths = [vm_path(options.vm, f"/jobs/{number}/wait") for number in options.job]
    try:
        jobs: list[JobView] = [follow(context, options, path=path, body={}) for path in paths]
    except KeyboardInterrupt:
        raise exits.Hangup(exits.INTERRUPTED) from None
    if options.json:
        context.write(render_json({"jobs": jobs}))
    return next((status for job in jobs if (status := job["status"])), exits.DONE)
