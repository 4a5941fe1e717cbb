"""`banger system install`."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from banger.cli.arguments import Parser, add_json
from banger.cli.render import render_json
from banger.cli.service import UserService, user_name
from banger.core.untrusted import printable

if TYPE_CHECKING:
    from banger.api.messages import Ping
    from banger.cli.context import Context

USAGE = "[--json]"
DESCRIPTION = """\
Make the daemon a service of your systemd: it begins with the computer, ends times to live also when you type
nothing, and its directories outlive a logout. Without it, each command starts the daemon when there is none.

It is a unit of yours in ~/.config/systemd/user and needs no root. VMs that run go on. Doing it again changes
nothing, or brings an older unit up to date."""
EXAMPLES = (("banger system install", ""), ("banger system install --json", "for programs"))


def declare(parser: Parser) -> None:
    add_json(parser)


def run(context: Context, options: Namespace) -> int:
    service = UserService(context)
    service.check()
    changed = service.write()
    ping: Ping = service.restart() if changed or service.read_state() != "active" else service.wait()
    lingering = service.linger()
    if options.json:
        unit = str(service.path)
        context.write(render_json({"unit": unit, "changed": changed, "lingering": lingering, "daemon": ping}))
        return 0
    where = printable(str(service.path), limit=200)
    context.write(f"The daemon, pid {ping['pid']}, is a service now: {where}\n" if changed else f"already in {where}\n")
    if not lingering:
        context.tell("It ends when you log out, and so do VMs. To keep them running:")
        context.tell(f"  sudo loginctl enable-linger {user_name()}")
    return 0
