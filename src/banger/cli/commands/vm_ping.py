"""`banger vm ping`."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING, Final

from banger.cli import exits
from banger.cli.arguments import Parser, add_json, add_vms
from banger.cli.outcomes import failure_json, look, tell_failure
from banger.cli.render import count, render_json
from banger.core.errors import Invalid
from banger.core.untrusted import printable

if TYPE_CHECKING:
    from banger.cli.context import Context

USAGE = "VM... [-c N] [--json]"
DESCRIPTION = """\
Ask the agents of running VMs whether they are alive, several times, and say how long each answer
took. It needs no network in the VM. The exit status says whether all answered; one that does not is not
asked again.

With --json one VM is an object. When several are named they are a list, in the order given, in which
one that did not answer is an object with `ref` and `error`."""
EXAMPLES = (
    ("banger vm ping box", "three times"),
    ("banger vm ping box otter", "both"),
    ("banger vm ping box -c 100 --json", "for programs"),
)
COUNT_LIMIT: Final = 10_000


def declare(parser: Parser) -> None:
    add_vms(parser)
    parser.add_argument("-c", "--count", metavar="N", type=parse_count, default=3, help="how many times (default: 3)")
    add_json(parser)


def parse_count(text: str) -> int:
    """A number of times; raises `Invalid`."""
    if not (text.isascii() and text.isdecimal()) or len(text) > 9 or not 1 <= int(text) <= COUNT_LIMIT:
        raise Invalid(f"-c: {ascii(text)} is not possible", hint=f"give a number from 1 to {COUNT_LIMIT}")
    return int(text)


def run(context: Context, options: Namespace) -> int:
    several = len(options.vm) > 1
    answers: dict[str, Answers] = {}
    left = options.vm
    status = exits.DONE
    for _ in range(options.count):
        if not left:
            break
        outcomes = look(context, left, what="ping", alone=not several)
        left = [outcome["ref"] for outcome in outcomes if outcome["error"] is None]
        for outcome in outcomes:
            seen = answers.setdefault(outcome["ref"], Answers(outcome["name"] or outcome["ref"]))
            if outcome["error"] is not None:
                seen.failure = failure_json(outcome)
                failed = tell_failure(context, outcome["error"], seen.name, quiet=options.json)
                status = status or failed
                continue
            seen.round_trips_s.append(outcome["round_trip_s"])
            if not options.json:
                context.write(f"{printable(seen.name)} answered in {format_ms(seen.round_trips_s[-1])}\n")
    if options.json:
        documents = [seen.document() for seen in answers.values()]
        context.write(render_json(documents if several else documents[0]))
    elif options.count > 1:
        for seen in answers.values():
            if seen.round_trips_s:
                context.write((f"{printable(seen.name)}: " if several else "") + render_summary(seen.round_trips_s))
    return status


class Answers:
    """What one VM answered, and in `failure` why it is not asked any more."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.round_trips_s: list[float] = []
        self.failure: dict[str, object] | None = None

    def document(self) -> dict[str, object]:
        """For `--json`."""
        return self.failure or {"name": self.name, "round_trips_s": self.round_trips_s}


def render_summary(round_trips_s: list[float]) -> str:
    """Fewest, mean and most."""
    mean_s = sum(round_trips_s) / len(round_trips_s)
    shown = "/".join(map(format_ms, (min(round_trips_s), mean_s, max(round_trips_s))))
    return f"{count(len(round_trips_s), 'answer')}, min/mean/max {shown}\n"


def format_ms(seconds: float) -> str:
    """`0.42 ms`."""
    return f"{seconds * 1000:.2f} ms"
