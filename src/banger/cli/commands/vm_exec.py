"""`banger vm exec`."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from banger.cli.arguments import Parser, add_vm
from banger.cli.context import vm_path
from banger.cli.guest import declare_environment, exchange, guest_environment, plan_pty
from banger.core.durations import parse_duration
from banger.core.errors import Invalid

if TYPE_CHECKING:
    from banger.api.messages import ExecRequest, JobRequest, JobView
    from banger.cli.context import Context

USAGE = "VM [-t] [--cwd DIR] [--user USER] [-e NAME=VALUE]... [options] [[--] CMD ARGS...]"
DESCRIPTION = """\
Run a command in a running VM, in its workspace if it has one. Input, output and errors pass through
unchanged, and the exit status is the command's. Without a command: a login shell.

In a workspace a command is started with `mise exec` where the guest has mise, so that it gets the tools
that the repository asks for. When HEAD of the repository has moved since it was copied, a line says so.
With --auto-prepare the workspace is brought up to date first, unless something done in the guest would
be lost by that.

With --detach it runs as a job, which survives the end of this command. Its number is printed, and
`banger vm jobs` tells of it.

Ctrl-C and SIGTERM go to the command; the same once more within two seconds gives it up."""
EXAMPLES = (
    ("banger vm exec box -- make test", "in the workspace"),
    ("banger vm exec box", "a shell"),
    ("banger vm exec box -t -- top", "with a terminal"),
    ("banger vm exec box -- tar -c src | tar -t", "bytes pass through unchanged"),
    ("banger vm exec box --cwd src -e CC=clang -- ls", "in a directory of the workspace"),
    ("banger vm exec box --timeout 10m -- make test", "ends with 124 when it takes longer"),
    ("banger vm exec box --auto-prepare -- make test", "with what was changed here meanwhile"),
    ("banger vm exec box --detach -- make all", "as a job; prints its number"),
    ("banger vm exec box --user nobody --cwd /tmp -- id", ""),
)


def declare(parser: Parser) -> None:
    add_vm(parser)
    declare_environment(parser)
    parser.add_argument("--cwd", metavar="DIR", help="directory in the guest (default: the workspace, else home)")
    parser.add_argument("--timeout", metavar="TIME", type=parse_duration, help="end it after this time, such as 10m")
    parser.add_argument("--user", metavar="USER", help="user in the guest (default: the image's)")
    parser.add_argument("--auto-prepare", action="store_true", help="bring the workspace up to date first")
    parser.add_argument("-d", "--detach", action="store_true", help="run it as a job, and print its number")
    parser.add_argument("--json", action="store_true", help="with --detach, print the job as one JSON document")
    parser.take_command(after=1)


def run(context: Context, options: Namespace) -> int:
    if options.detach:
        return begin_job(context, options)
    if options.json:
        raise Invalid("--json is for --detach", hint="the command's own output is printed as it is")
    pty = plan_pty(options.command, tty=options.tty, example=f"banger vm exec {options.vm} -- CMD")
    request: ExecRequest = {
        "command": options.command,
        "environment": guest_environment(options, context.environment, pty=pty is not None),
        "cwd": options.cwd,
        "user": options.user,
        "pty": pty,
        "stdin": True,
    }
    if options.timeout:
        request["timeout_s"] = options.timeout
    path = vm_path(options.vm, "/exec")
    if options.auto_prepare:
        request["prepare"] = True
        return run_prepared(context, path, request)
    tell = partial(tell_event, context)
    result = exchange(context, path=path, request=request, stdin=True, pty=pty is not None, on_event=tell)
    status: int = result["status"]
    return status


def run_prepared(context: Context, path: str, request: ExecRequest) -> int:
    """The same with something to wait for before the command has its turn."""
    from banger.cli.progress import Progress

    with Progress.for_terminal(context.environment) as progress:

        def tell(event: Mapping[str, Any]) -> None:
            if event["event"] == "ready":
                progress.share()
            else:
                progress.event(event)

        pty = request["pty"] is not None
        result = exchange(context, path=path, request=request, stdin=True, pty=pty, running=False, on_event=tell)
    status: int = result["status"]
    return status


def begin_job(context: Context, options: Namespace) -> int:
    """Begin a job and say which."""
    from banger.cli.render import render_json
    from banger.cli.targets import follow

    if options.command is None or options.tty:
        raise Invalid(
            "--detach needs a command, and takes no -t",
            hint=f"write `banger vm exec {options.vm} --detach -- CMD`",
        )
    request: JobRequest = {
        "command": options.command,
        "environment": guest_environment(options, context.environment, pty=False),
        "cwd": options.cwd,
        "user": options.user,
    }
    if options.auto_prepare:
        request["prepare"] = True
    if options.timeout:
        request["timeout_s"] = options.timeout
    options.quiet = False
    job: JobView = follow(context, options, path=vm_path(options.vm, "/jobs"), body=request)
    context.write(render_json(job) if options.json else f"{job['job']}\n")
    if sys.stderr.isatty() and not options.json:
        context.tell(context.error_style.dim(f"`banger vm jobs logs {options.vm} {job['job']} -f` shows its output"))
    return 0


def tell_event(context: Context, event: Mapping[str, Any]) -> None:
    """Show what there is to be told beside a program that has the terminal. Most of the time there is nothing."""
    from banger.cli.progress import Progress

    with Progress.for_terminal(context.environment) as progress:
        progress.share()
        progress.event(event)
