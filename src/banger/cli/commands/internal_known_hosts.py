"""`banger internal-known-hosts`: what ssh asks for the key that a guest must show. Not for people."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING, Final

from banger.cli.arguments import Parser
from banger.cli.context import vm_path
from banger.cli.ssh_client import parse_host
from banger.core.errors import Invalid

if TYPE_CHECKING:
    from banger.api.messages import SshPlan
    from banger.cli.context import Context

USAGE = "HOST"
DESCRIPTION = "Print the line of known_hosts(5) for a guest: NAME.vm, or [NAME.vm]:PORT."
EXAMPLES = (("banger internal-known-hosts box.vm", "the key of its ssh server"),)
_KEY_LIMIT: Final = 1000


def declare(parser: Parser) -> None:
    parser.add_argument("host", metavar="HOST", help="as ssh looks it up")


def run(context: Context, options: Namespace) -> int:
    vm = parse_host(options.host.removeprefix("[").partition("]")[0])
    with context.open() as daemon:
        plan: SshPlan = daemon.get(vm_path(vm, "/ssh"))
    key = plan["host_key"]
    if not key.isprintable() or not key.isascii() or len(key) > _KEY_LIMIT:
        raise Invalid("the daemon knows no sound key of this guest", hint="restart the VM")
    context.write(f"{options.host} {key}\n")
    return 0
