"""`banger internal-connect`: what ssh is told to reach a guest through. Not for people, so not in any help page."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING, Any, Final

from banger.cli.arguments import Parser
from banger.cli.context import vm_path
from banger.cli.guest import exchange
from banger.cli.ssh_client import parse_host
from banger.core.errors import Invalid
from banger.core.untrusted import printable

if TYPE_CHECKING:
    from banger.api.messages import ConnectRequest
    from banger.cli.context import Context

USAGE = "VM PORT"
DESCRIPTION = "Join standard input and output to a TCP port of a guest."
EXAMPLES = (("banger internal-connect box 22", "speaks to its ssh server"),)
_WAIT_S: Final = 60.0


def declare(parser: Parser) -> None:
    parser.add_argument("vm", metavar="VM", type=parse_host, help="name or id of a VM, or NAME.vm")
    parser.add_argument("port", metavar="PORT", type=parse_port, help="1 to 65535")


def run(context: Context, options: Namespace) -> int:
    request: ConnectRequest = {"port": options.port, "wait_s": _WAIT_S}
    path = vm_path(options.vm, "/connect")

    def tell(event: dict[str, Any]) -> None:
        if event["event"] == "notice":
            context.tell(f"banger: {printable(event['text'])}")

    status: int = exchange(context, path=path, request=request, stdin=True, program=False, on_event=tell)["status"]
    return status


def parse_port(text: str) -> int:
    """A TCP port; raises `Invalid`."""
    if not (text.isascii() and text.isdecimal()) or len(text) > 5 or not 1 <= int(text) <= 65535:
        raise Invalid(f"{ascii(text)} is not a TCP port", hint="give a number from 1 to 65535")
    return int(text)
