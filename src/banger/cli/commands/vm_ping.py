"""`banger vm ping`."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING, Final

from banger.cli.arguments import Parser, add_json, add_vm
from banger.cli.context import vm_path
from banger.cli.render import count, render_json
from banger.core.errors import Invalid
from banger.core.untrusted import printable

if TYPE_CHECKING:
    from banger.cli.context import Context

USAGE = "VM [-c N] [--json]"
DESCRIPTION = """\
Ask the agent of a running VM for a sign of life, one time after the other, and say how long each answer
took. It needs no network in the VM. The exit status tells whether it answered."""
EXAMPLES = (("banger vm ping box", "three times"), ("banger vm ping box -c 100 --json", "for programs"))
COUNT_LIMIT: Final = 10_000


def declare(parser: Parser) -> None:
    add_vm(parser)
    parser.add_argument("-c", "--count", metavar="N", type=parse_count, default=3, help="how many times (default: 3)")
    add_json(parser)


def parse_count(text: str) -> int:
    """A number of times; raises `Invalid`."""
    if not (text.isascii() and text.isdecimal()) or len(text) > 9 or not 1 <= int(text) <= COUNT_LIMIT:
        raise Invalid(f"-c: {ascii(text)} is not possible", hint=f"give a number from 1 to {COUNT_LIMIT}")
    return int(text)


def run(context: Context, options: Namespace) -> int:
    round_trips_s: list[float] = []
    name = options.vm
    for _ in range(options.count):
        with context.open() as daemon:
            answer = daemon.post(vm_path(options.vm, "/ping"), {})
        name = answer["name"]
        round_trips_s.append(answer["round_trip_s"])
        if not options.json:
            context.write(f"{printable(name)} answered in {format_ms(round_trips_s[-1])}\n")
    if options.json:
        context.write(render_json({"name": name, "round_trips_s": round_trips_s}))
    elif options.count > 1:
        context.write(render_summary(round_trips_s))
    return 0


def render_summary(round_trips_s: list[float]) -> str:
    """Fewest, mean and most."""
    mean_s = sum(round_trips_s) / len(round_trips_s)
    shown = "/".join(map(format_ms, (min(round_trips_s), mean_s, max(round_trips_s))))
    return f"{count(len(round_trips_s), 'answer')}, min/mean/max {shown}\n"


def format_ms(seconds: float) -> str:
    """`0.42 ms`."""
    return f"{seconds * 1000:.2f} ms"
