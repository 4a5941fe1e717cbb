"""`banger vm forward`."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from typing import TYPE_CHECKING, Any

from banger.cli import exits
from banger.cli.arguments import Parser, add_vm
from banger.cli.commands.internal_connect import parse_port
from banger.cli.context import vm_path
from banger.cli.guest import exchange
from banger.core.errors import Invalid
from banger.core.untrusted import printable

if TYPE_CHECKING:
    from banger.api.messages import ForwardMapping, ForwardRequest
    from banger.cli.context import Context

USAGE = "VM [HOSTPORT:]GUESTPORT... [--json]"
DESCRIPTION = """\
Make TCP ports of the guest reachable on 127.0.0.1, and on no other address, until Ctrl-C or the VM's end.
It needs no network in the VM; a server there may listen on any address, also on its own 127.0.0.1 only.

GUESTPORT alone takes the same port here, or another one when that is not free; HOSTPORT 0 takes any that is
free. What listens is printed, one line for each port."""
EXAMPLES = (
    ("banger vm forward box 8080", "http://127.0.0.1:8080 is the guest's"),
    ("banger vm forward box 18080:80 15432:5432", "two at once"),
    ("banger vm forward box 0:80 --json", "any free port, told to a program"),
)
_LOOPBACK = ("127.0.0.1", "localhost")


def declare(parser: Parser) -> None:
    add_vm(parser)
    parser.add_argument(
        "mappings",
        metavar="PORTS...",
        nargs="+",
        type=parse_mapping,
        help="GUESTPORT or HOSTPORT:GUESTPORT",
    )
    parser.add_argument("--json", action="store_true", help="print a JSON document for each port, one per line")


def run(context: Context, options: Namespace) -> int:
    def on_event(event: dict[str, Any]) -> None:
        if event.get("event") == "forward":
            context.write(render_port(options.vm, event, as_json=options.json))
            sys.stdout.flush()
        elif event.get("event") == "notice":
            context.tell(f"banger: {printable(str(event.get('text', '')))}")

    request: ForwardRequest = {"mappings": options.mappings}
    path = vm_path(options.vm, "/forward")
    exchange(context, path=path, request=request, stdin=False, program=False, on_event=on_event)
    return exits.DONE


def render_port(vm: str, event: dict[str, Any], *, as_json: bool) -> str:
    """One line about a port that listens."""
    if as_json:
        known = {key: event[key] for key in ("host_address", "host_port", "guest_port")}
        return json.dumps({"vm": vm, **known}) + "\n"
    return f"{event['host_address']}:{event['host_port']} -> {vm}:{event['guest_port']}\n"


def parse_mapping(text: str) -> ForwardMapping:
    """`80`, `8080:80` or, written in full, `127.0.0.1:8080:80`; raises `Invalid`."""
    *address, host, guest = ["", *text.split(":")] if ":" not in text else text.split(":")
    if (address and address[0] not in _LOOPBACK) or len(address) > 1:
        raise Invalid(
            f"{ascii(text)} is not on this computer's loopback address",
            hint="leave the address out: ports are forwarded on 127.0.0.1 only",
        )
    guest_port = parse_port(guest)
    if ":" not in text:
        return {"host_port": guest_port, "guest_port": guest_port, "flexible": True}
    return {"host_port": 0 if host == "0" else parse_port(host), "guest_port": guest_port, "flexible": False}
