"""`banger system status`."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from banger.cli import exits
from banger.cli.arguments import Parser, add_json
from banger.cli.render import Style, render_fields, render_json
from banger.cli.service import UserService, lingers
from banger.core.untrusted import printable

if TYPE_CHECKING:
    from banger.api.messages import Ping
    from banger.api.outputs import SystemStatus
    from banger.cli.context import Context

USAGE = "[--json]"
DESCRIPTION = f"""\
Show the daemon, whether it is a service of your systemd, and where banger keeps its files. Starts
nothing. The exit status is {exits.NOT_RUNNING} when no daemon runs."""
EXAMPLES = (("banger system status", ""), ("banger system status --json", "for programs"))


def declare(parser: Parser) -> None:
    add_json(parser)


def run(context: Context, options: Namespace) -> int:
    ping = context.daemon.ping()
    status = read_status(context, ping)
    context.write(render_json(status) if options.json else render_status(status, context.style))
    return exits.DONE if ping is not None else exits.NOT_RUNNING


def read_status(context: Context, ping: Ping | None) -> SystemStatus:
    """Everything, without a daemon being started."""
    service, layout = UserService(context), context.layout
    installed = service.installed
    return {
        "daemon": ping,
        "service": {
            "unit": str(service.path) if installed else None,
            "enabled": installed and service.is_enabled(),
            "state": service.read_state() if installed else "not installed",
            "lingering": lingers(),
        },
        "directories": {
            "config": str(layout.config),
            "state": str(layout.state),
            "cache": str(layout.cache),
            "run": str(layout.run),
        },
        "log": str(layout.daemon_log),
    }


def render_status(status: SystemStatus, style: Style) -> str:
    """Two columns."""
    ping, service = status["daemon"], status["service"]
    fields = [("daemon", f"version {ping['version']}, pid {ping['pid']}" if ping else "not running")]
    if ping:
        fields.append(("running VMs", str(ping["vms_running"])))
    fields.append(("service", service["state"] + (", begins with the computer" if _at_boot(status) else "")))
    fields += [(name, printable(path, limit=300)) for name, path in status["directories"].items()]
    return render_fields([*fields, ("log", printable(status["log"], limit=300))], style)


def _at_boot(status: SystemStatus) -> bool:
    return status["service"]["enabled"] and status["service"]["lingering"]
