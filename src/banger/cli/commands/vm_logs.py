"""`banger vm logs`."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from typing import TYPE_CHECKING

from banger.api import framing
from banger.cli import exits
from banger.cli.arguments import Parser, add_json, add_vm
from banger.cli.console_text import ConsoleText, clean_console
from banger.cli.context import vm_path
from banger.cli.render import render_json
from banger.core.errors import Invalid
from banger.core.untrusted import printable

if TYPE_CHECKING:
    from banger.api.messages import LogsRequest
    from banger.cli.context import Context

USAGE = "VM [-f] [-n LINES] [--json]"
DESCRIPTION = """\
Print what the VM's console printed: the kernel, the guest's init, and a panic if there was one. It also
works when the VM is stopped, or died. The last 512 KiB at least are kept.
Colours are taken out, and what could control your terminal is written out.

With --follow it goes on printing until the VM ends, or until Ctrl-C."""
EXAMPLES = (
    ("banger vm logs box", ""),
    ("banger vm logs box -n 20", "the end of it"),
    ("banger vm logs box -f", "and what comes"),
)


def declare(parser: Parser) -> None:
    add_vm(parser)
    parser.add_argument("-f", "--follow", action="store_true", help="go on printing until the VM ends")
    parser.add_argument("-n", "--tail", metavar="LINES", type=parse_lines, help="begin so many lines before the end")
    add_json(parser)


def run(context: Context, options: Namespace) -> int:
    if not options.follow:
        with context.open() as daemon:
            console = b"".join(daemon.download(vm_path(options.vm, "/logs")))
        text = clean_console(console)
        if options.tail is not None:
            text = "".join(text.splitlines(keepends=True)[-options.tail :]) if options.tail else ""
        context.write(render_json({"vm": options.vm, "console": text}) if options.json else text)
        return exits.DONE
    if options.json:
        raise Invalid("--follow and --json exclude each other", hint="leave one of them out")
    try:
        follow_console(context, vm_path(options.vm, "/logs/follow"), {"tail": options.tail})
    except KeyboardInterrupt:
        raise exits.Hangup(exits.INTERRUPTED) from None
    return exits.DONE


def follow_console(context: Context, path: str, request: LogsRequest) -> None:
    """Print until the daemon says that the VM has ended."""
    text = ConsoleText()
    with context.open() as daemon:
        daemon.open_stream(path, request)
        for frame_type, payload in daemon.frames():
            if frame_type == framing.OUTPUT:
                context.write(text.feed(payload))
                sys.stdout.flush()
            elif frame_type == framing.EVENT:
                context.tell(f"banger: {printable(str(json.loads(payload).get('text', '')))}")
    context.write(text.feed(b"", end=True))


def parse_lines(text: str) -> int:
    """A number of lines; raises `Invalid`."""
    if not (text.isascii() and text.isdecimal()) or len(text) > 9:
        raise Invalid(f"{ascii(text)} is not a number of lines", hint="give a number, for example `-n 20`")
    return int(text)
