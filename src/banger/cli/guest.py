"""What commands that run something in a guest share: its environment, its terminal, its input and output."""

from __future__ import annotations

import os
import re
from argparse import Namespace
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from banger.api.duplex import Duplex
from banger.cli.arguments import Parser
from banger.cli.session import Session
from banger.cli.terminal import terminal_size
from banger.core.commands import check_command
from banger.core.errors import Invalid

if TYPE_CHECKING:
    from banger.api.messages import PtySize
    from banger.cli.context import Context

_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DEFAULT_TERM: Final = "xterm"


def declare_environment(parser: Parser) -> None:
    """`--env` and `--tty`."""
    parser.add_argument(
        "-e",
        "--env",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="set a variable of the command; may be repeated",
    )
    parser.take_any_bytes("env")
    parser.add_argument("-t", "--tty", action="store_true", help="give the command a terminal")


def parse_environment(assignments: list[str]) -> dict[str, str]:
    """`NAME=VALUE` words as a mapping. Raises `Invalid`."""
    environment: dict[str, str] = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals or not _VARIABLE.fullmatch(name):
            raise Invalid(f"{ascii(assignment)} does not set a variable", hint="write --env NAME=VALUE")
        environment[name] = value
    return environment


def plan_pty(command: list[str] | None, *, tty: bool, example: str, shell: bool = True) -> PtySize | None:
    """The terminal that the guest's program gets: always one for a shell, which needs ours. Raises `Invalid`.

    Without `shell` no command is not known to mean one.
    """
    if command is not None or (not shell and not os.isatty(0)):
        return terminal_size() if tty else None
    if not os.isatty(0):
        raise Invalid("a shell needs a terminal, and standard input is none", hint=f"give a command: `{example}`")
    return terminal_size()


def guest_environment(options: Namespace, environment: Mapping[str, str], *, pty: bool) -> dict[str, str]:
    """Variables for the guest's program: with a terminal also which kind it is.

    Raises `Invalid` when they and the command are more than a guest takes.
    """
    terminal = {"TERM": environment.get("TERM") or _DEFAULT_TERM} if pty else {}
    variables = {**terminal, **parse_environment(options.env)}
    check_command(options.command, variables)
    return variables


def exchange(
    context: Context,
    *,
    path: str,
    request: Mapping[str, object],
    stdin: bool,
    pty: bool = False,
    program: bool = True,
    running: bool = True,
    on_event: Callable[[dict[str, Any]], None] = lambda _event: None,
) -> dict[str, Any]:
    """Send a stream request, join it to our streams, return its result. The rest is as in `Session`."""
    duplex = Duplex(context.connect(), path=path, request=request)
    try:
        return Session(duplex, stdin=stdin, pty=pty, program=program, running=running, on_event=on_event).run()
    finally:
        duplex.close()
