"""`banger vm exec`."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from banger.cli.arguments import Parser, add_vm
from banger.cli.context import vm_path
from banger.cli.guest import declare_environment, exchange, guest_environment, plan_pty

if TYPE_CHECKING:
    from banger.api.messages import ExecRequest
    from banger.cli.context import Context

USAGE = "VM [-t] [--cwd DIR] [--user USER] [-e NAME=VALUE]... [[--] CMD ARGS...]"
DESCRIPTION = """\
Run a command in a running VM, in its workspace if it has one. Input, output and errors pass through
unchanged, and the exit status is the command's. Without a command: a login shell.

Ctrl-C and SIGTERM go to the command; the same once more within two seconds gives it up."""
EXAMPLES = (
    ("banger vm exec box -- make test", "in the workspace"),
    ("banger vm exec box", "a shell"),
    ("banger vm exec box -t -- top", "with a terminal"),
    ("banger vm exec box -- tar -c src | tar -t", "bytes pass through unchanged"),
    ("banger vm exec box --user nobody --cwd /tmp -- id", ""),
)


def declare(parser: Parser) -> None:
    add_vm(parser)
    declare_environment(parser)
    parser.add_argument("--cwd", metavar="DIR", help="directory in the guest (default: the workspace, else home)")
    parser.add_argument("--user", metavar="USER", help="user in the guest (default: the image's)")
    parser.take_command(after=1)


def run(context: Context, options: Namespace) -> int:
    pty = plan_pty(options.command, tty=options.tty, example=f"banger vm exec {options.vm} -- CMD")
    request: ExecRequest = {
        "command": options.command,
        "environment": guest_environment(options, context.environment, pty=pty is not None),
        "cwd": options.cwd,
        "user": options.user,
        "pty": pty,
        "stdin": True,
    }
    path = vm_path(options.vm, "/exec")
    status: int = exchange(context, path=path, request=request, stdin=True, pty=pty is not None)["status"]
    return status
