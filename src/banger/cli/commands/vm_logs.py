"""`banger vm logs`."""

from __future__ import annotations

import re
from argparse import Namespace
from typing import TYPE_CHECKING

from banger.cli.arguments import Parser, add_json, add_vm
from banger.cli.context import vm_path
from banger.cli.render import render_json
from banger.core.untrusted import printable_lines

if TYPE_CHECKING:
    from banger.cli.context import Context

USAGE = "VM [--json]"
DESCRIPTION = """\
Print what the VM's console printed: the kernel, the guest's init, and a panic if there was one.
Colours are taken out, and what could control your terminal is written out."""
EXAMPLES = (("banger vm logs box", ""), ("banger vm logs box | tail -n 20", "the end of it"))
# Colours, and the cursor movements that an init uses to draw its status (ECMA-48, section 5.4); titles (xterm's OSC).
_SEQUENCES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[()][0-9A-Z]")


def declare(parser: Parser) -> None:
    add_vm(parser)
    add_json(parser)


def run(context: Context, options: Namespace) -> int:
    with context.open() as daemon:
        console = b"".join(daemon.download(vm_path(options.vm, "/logs")))
    text = clean_console(console)
    context.write(render_json({"vm": options.vm, "console": text}) if options.json else text)
    return 0


def clean_console(console: bytes) -> str:
    """The text of a console, with line ends of this computer, and nothing in it that a terminal would obey."""
    text = _SEQUENCES.sub("", console.decode("utf-8", "backslashreplace"))
    text = re.sub(r"\r+\n", "\n", text)
    return printable_lines(text, limit=len(text))
