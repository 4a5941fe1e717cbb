"""`banger daemon status`."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from banger.cli import exits
from banger.cli.arguments import Parser, add_json
from banger.cli.render import format_time, render_fields, render_json

if TYPE_CHECKING:
    from banger.cli.context import Context

USAGE = "[--json]"
DESCRIPTION = f"""\
Say whether the daemon runs, and where its socket and its log are. Does not start it.
The exit status is {exits.NOT_RUNNING} when it does not run."""
EXAMPLES = (("banger daemon status", ""), ("banger daemon status --json", "for programs"))


def declare(parser: Parser) -> None:
    add_json(parser)


def run(context: Context, options: Namespace) -> int:
    ping = context.daemon.ping()
    files = {"socket": str(context.layout.daemon_socket), "log": str(context.layout.daemon_log)}
    if options.json:
        context.write(render_json({"running": ping is not None, "daemon": ping, **files}))
    else:
        fields = [("daemon", "running" if ping else "not running")]
        if ping:
            fields += [
                ("pid", str(ping["pid"])),
                ("version", ping["version"]),
                ("started", format_time(ping["started_at_s"])),
                ("VMs running", str(ping["vms_running"])),
            ]
            if ping["notice"]:
                fields.append(("notice", ping["notice"]))
        context.write(render_fields([*fields, *files.items()], context.style))
    return exits.DONE if ping else exits.NOT_RUNNING
