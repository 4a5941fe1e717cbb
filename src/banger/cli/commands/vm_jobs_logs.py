"""`banger vm jobs logs`."""

from __future__ import annotations

import sys
from argparse import Namespace
from typing import TYPE_CHECKING

from banger.api import framing
from banger.cli import exits
from banger.cli.arguments import Parser, add_vm
from banger.cli.console_text import ConsoleText
from banger.cli.context import vm_path
from banger.core.errors import Invalid
from banger.core.untrusted import printable_lines

if TYPE_CHECKING:
    from banger.api.messages import JobLogsRequest
    from banger.cli.context import Context

USAGE = "VM JOB [-f] [-n LINES]"
DESCRIPTION = """\
Print what a job of a running VM has printed, output and errors together. On a terminal what
could control it is written out. With --follow it keeps printing until the job ends, or until Ctrl-C,
which does not end the job. The newest output is kept, 16 MiB at most; standard error says how much is
missing from the beginning."""
EXAMPLES = (
    ("banger vm jobs logs box 1", ""),
    ("banger vm jobs logs box 1 -n 20", "the end of it"),
    ("banger vm jobs logs box 1 -f", "until the job ends"),
)


def declare(parser: Parser) -> None:
    add_vm(parser)
    add_job(parser)
    parser.add_argument("-f", "--follow", action="store_true", help="keep printing until the job ends")
    parser.add_argument("-n", "--tail", metavar="LINES", type=parse_lines, help="start this many lines before the end")


def run(context: Context, options: Namespace) -> int:
    request: JobLogsRequest = {"follow": options.follow, "tail": options.tail}
    text = ConsoleText() if sys.stdout.isatty() else None
    try:
        with context.open() as daemon:
            daemon.open_stream(vm_path(options.vm, f"/jobs/{options.job}/logs"), request)
            for frame_type, payload in daemon.frames():
                if frame_type == framing.ERROR_OUTPUT:
                    context.tell(printable_lines(payload).rstrip("\n"))
                elif frame_type == framing.OUTPUT and text is None:
                    sys.stdout.buffer.write(payload)
                elif frame_type == framing.OUTPUT and text is not None:
                    context.write(text.feed(payload))
                sys.stdout.flush()
    except KeyboardInterrupt:
        raise exits.Hangup(exits.INTERRUPTED) from None
    return exits.DONE


def add_job(parser: Parser, *, several: bool = False) -> None:
    """The job that a command is about."""
    nargs = "+" if several else None
    name = "JOB..." if several else "JOB"
    parser.add_argument("job", metavar=name, nargs=nargs, type=parse_job, help="its number, which `vm jobs list` shows")


def parse_job(text: str) -> int:
    """The number of a job; raises `Invalid`."""
    if not (text.isascii() and text.isdecimal()) or len(text) > 6 or int(text) == 0:
        raise Invalid(f"{ascii(text)} is not the number of a job", hint="`banger vm jobs list VM` shows them")
    return int(text)


def parse_lines(text: str) -> int:
    """A number of lines; raises `Invalid`."""
    if not (text.isascii() and text.isdecimal()) or len(text) > 9:
        raise Invalid(f"{ascii(text)} is not a number of lines", hint="give a number, for example `-n 20`")
    return int(text)
