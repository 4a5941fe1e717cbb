"""`banger vm jobs list`."""

from __future__ import annotations

import time
from argparse import Namespace
from typing import TYPE_CHECKING

from banger.cli.arguments import Parser, add_json, add_vm
from banger.cli.context import vm_path
from banger.cli.render import NOTHING, Style, format_age, format_duration, render_json, render_table
from banger.core.sizes import format_size

if TYPE_CHECKING:
    from banger.api.messages import JobsResult, JobView
    from banger.cli.context import Context

USAGE = "VM [-q] [--json]"
DESCRIPTION = """\
List the jobs of a running VM: commands that were begun with `banger vm exec --detach`, and what a
repository asks to be installed. `lost` ones ended with their machine, so that nobody saw how. The
newest hundred that have ended are kept."""
EXAMPLES = (("banger vm jobs list box", ""), ("banger vm jobs list box --json", "for programs"))


def declare(parser: Parser) -> None:
    add_vm(parser)
    parser.add_argument("-q", "--quiet", action="store_true", help="numbers only")
    add_json(parser)


def run(context: Context, options: Namespace) -> int:
    with context.open() as daemon:
        result: JobsResult = daemon.get(vm_path(options.vm, "/jobs"))
    jobs = result["jobs"]
    if options.json:
        context.write(render_json(result))
    elif options.quiet:
        context.write("".join(f"{job['job']}\n" for job in jobs))
    elif jobs:
        context.write(render_jobs(jobs, context.style, now_s=time.time()))
    else:
        context.tell(f"No jobs. `banger vm exec {options.vm} --detach -- CMD` begins one.")
    return 0


def render_jobs(jobs: list[JobView], style: Style, *, now_s: float) -> str:
    """The table."""
    rows = [
        (
            str(job["job"]),
            job["state"],
            NOTHING if job["status"] is None else str(job["status"]),
            format_age(job["began_at_s"], now_s),
            NOTHING if job["ended_at_s"] is None else format_duration(max(0.0, job["ended_at_s"] - job["began_at_s"])),
            format_log(job),
            " ".join(job["command"]),
        )
        for job in jobs
    ]
    return render_table(("JOB", "STATE", "STATUS", "BEGAN", "TOOK", "LOG", "COMMAND"), rows, style)


def format_log(job: JobView) -> str:
    """What is kept of what it said."""
    kept, dropped = job["log_bytes"], job["log_dropped_bytes"]
    return f"{format_size(kept)} of {format_size(kept + dropped)}" if dropped else format_size(kept)
