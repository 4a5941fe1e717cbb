"""`banger vm logs`."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from banger.api.client import error_from
from banger.cli import exits
from banger.cli.arguments import Parser, add_json, add_vms
from banger.cli.console_text import ConsoleText, NamedLines, clean_console
from banger.cli.context import vm_path
from banger.cli.failures import error_json
from banger.cli.following import follow_consoles
from banger.cli.outcomes import look, tell_failure
from banger.cli.render import render_json
from banger.core.errors import BangerError, Invalid
from banger.core.untrusted import printable

if TYPE_CHECKING:
    from banger.api.messages import Observation
    from banger.cli.context import Context

USAGE = "VM... [-f] [-n LINES] [--json]"
DESCRIPTION = """\
Print what VMs' consoles printed: the kernel, the guest's init, and a panic if there was one. It also
works when a VM is stopped, or died. The last 512 KiB at least are kept.
Colours are taken out, and what could control your terminal is written out.

With --follow it keeps printing until the VMs end, or until Ctrl-C. When several are named, their lines
come as they are printed, each with the name of its VM.

With --json one VM is an object. When several are named they are a list, in the order given, in which
one that cannot be read is an object with `ref` and `error`."""
EXAMPLES = (
    ("banger vm logs box", ""),
    ("banger vm logs box -n 20", "the end of it"),
    ("banger vm logs box -f", "and what comes"),
    ("banger vm logs box otter -n 20", "one after the other"),
    ("banger vm logs box otter -f -n 0", "what comes from both"),
)


def declare(parser: Parser) -> None:
    add_vms(parser)
    parser.add_argument("-f", "--follow", action="store_true", help="keep printing until the VMs end")
    parser.add_argument("-n", "--tail", metavar="LINES", type=parse_lines, help="start this many lines before the end")
    add_json(parser)


def run(context: Context, options: Namespace) -> int:
    if options.follow and options.json:
        raise Invalid("--follow and --json exclude each other", hint="leave one of them out")
    several = len(options.vm) > 1
    try:
        if options.follow:
            return follow_several(context, options) if several else follow_one(context, options)
        return print_several(context, options) if several else print_one(context, options)
    except KeyboardInterrupt:
        raise exits.Hangup(exits.INTERRUPTED) from None


def print_one(context: Context, options: Namespace) -> int:
    """What one VM printed, and nothing else."""
    text = read_console(context, options.vm[0], options.tail)
    context.write(render_json({"vm": options.vm[0], "console": text}) if options.json else text)
    return exits.DONE


def print_several(context: Context, options: Namespace) -> int:
    """What each printed, under its name."""
    documents: list[object] = []
    status, blank = exits.DONE, ""
    for outcome in look(context, options.vm, what="show"):
        try:
            text = read_console(context, identity(outcome), options.tail)
        except BangerError as error:
            documents.append({"ref": outcome["ref"], **error_json(error)})
            failed = tell_failure(context, error, outcome["ref"], quiet=options.json)
            status = status or failed
            continue
        documents.append({"vm": outcome["ref"], "console": text})
        if not options.json:
            head = context.style.bold(f"==> {printable(outcome['vm']['name'])} <==")
            context.write(f"{blank}{head}\n{text}" + ("" if text.endswith("\n") or not text else "\n"))
            blank = "\n"
    if options.json:
        context.write(render_json(documents))
    return status


def read_console(context: Context, ref: str, tail: int | None) -> str:
    """The text of a VM's console, or its last `tail` lines."""
    with context.open() as daemon:
        text = clean_console(b"".join(daemon.download(vm_path(ref, "/logs"))))
    if tail is None:
        return text
    return "".join(text.splitlines(keepends=True)[-tail:]) if tail else ""


def follow_one(context: Context, options: Namespace) -> int:
    """Print until the VM has ended."""

    def fail(_ref: str, error: BangerError) -> None:
        raise error

    follow_consoles(context, {options.vm[0]: ConsoleText()}, tail=options.tail, fail=fail)
    return exits.DONE


def follow_several(context: Context, options: Namespace) -> int:
    """Print until all have ended. One that is not there, or is lost, does not end the others."""
    called: dict[str, str] = {}
    status = exits.DONE

    def fail(ref: str, error: BangerError) -> None:
        nonlocal status
        failed = tell_failure(context, error, called.get(ref, ref), quiet=False)
        status = status or failed

    texts: dict[str, NamedLines] = {}
    for outcome in look(context, options.vm, what="show"):
        try:
            vm_id = identity(outcome)
        except BangerError as error:
            fail(outcome["ref"], error)
        else:
            called[vm_id] = outcome["ref"]
            texts[vm_id] = NamedLines(outcome["vm"]["name"])
    follow_consoles(context, texts, tail=options.tail, fail=fail)
    return status


def identity(outcome: Observation) -> str:
    """The id of a VM that was found. Raises what the daemon said of one that was not."""
    if outcome["error"] is not None:
        raise error_from(dict(outcome["error"]))
    return outcome["vm"]["id"]


def parse_lines(text: str) -> int:
    """A number of lines; raises `Invalid`."""
    if not (text.isascii() and text.isdecimal()) or len(text) > 9:
        raise Invalid(f"{ascii(text)} is not a number of lines", hint="give a number, for example `-n 20`")
    return int(text)
