"""`banger vm kill`."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING, Final

from banger.cli.arguments import Parser
from banger.cli.targets import declare_targets, run_on_targets
from banger.core.errors import Invalid

if TYPE_CHECKING:
    from banger.cli.context import Context

USAGE = "VM... [--signal NAME] [--json] [-q]"
DESCRIPTION = """\
End VMs now, without asking their guests: for those that hang. What a guest has not written to its disk
is lost; `banger vm stop` is the friendly way. The signal goes to the VMM, and SIGKILL follows ten
seconds later if it is still there. The disks stay."""
EXAMPLES = (("banger vm kill box", ""), ("banger vm kill --signal TERM box", "let the VMM close its files first"))
_SIGNALS: Final = ("KILL", "TERM", "INT", "HUP", "QUIT")


def declare(parser: Parser) -> None:
    declare_targets(parser)
    parser.add_argument(
        "--signal",
        metavar="NAME",
        completes="signal",
        type=parse_name,
        default="KILL",
        help="KILL (the default), TERM, INT, HUP or QUIT",
    )


def run(context: Context, options: Namespace) -> int:
    return run_on_targets(context, options, verb="kill", done="killed", more={"signal": options.signal})


def parse_name(text: str) -> str:
    """The name of a signal without its `SIG`; raises `Invalid`."""
    name = text.upper().removeprefix("SIG")
    if name not in _SIGNALS:
        raise Invalid(f"--signal: {ascii(text)} is not a signal for a VM", hint="use one of " + ", ".join(_SIGNALS))
    return name
