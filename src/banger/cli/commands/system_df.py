"""`banger system df`."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from banger.cli.arguments import Parser, add_json
from banger.cli.render import Style, render_json, render_table
from banger.core.sizes import format_size

if TYPE_CHECKING:
    from banger.api.messages import DiskUsage
    from banger.cli.context import Context

USAGE = "[--json]"
DESCRIPTION = """\
Show what banger takes on this computer's disk: what VMs share, what each has for itself, and what is free.
Numbers are what is really on the disk. Where the file system shares parts of files, it is less than the sum."""
EXAMPLES = (("banger system df", ""), ("banger system df --json", "for programs"))


def declare(parser: Parser) -> None:
    add_json(parser)


def run(context: Context, options: Namespace) -> int:
    with context.open() as daemon:
        usage: DiskUsage = daemon.get("/v1/system/df")
    context.write(render_json(usage) if options.json else render_usage(usage, context.style))
    return 0


def render_usage(usage: DiskUsage, style: Style) -> str:
    """A table of what is shared, one of VMs, and the free space."""
    shared: list[tuple[str, ...]] = [
        (one["kind"], one["name"], format_size(one["bytes"]), str(one["vms"])) for one in usage["shared"]
    ]
    shared.append(("total", "", format_size(usage["shared_bytes"]), ""))
    text = render_table(("SHARED", "NAME", "SIZE", "VMS"), shared, style) + "\n"
    if usage["vms"]:
        own: list[tuple[str, ...]] = [
            (
                vm["name"],
                vm["state"],
                *(format_size(size) for size in (vm["disk_bytes"], vm["logs_bytes"], vm["other_bytes"])),
                format_size(vm["total_bytes"]),
            )
            for vm in usage["vms"]
        ]
        own.append(("total", "", "", "", "", format_size(usage["own_bytes"])))
        text += render_table(("VM", "STATE", "DISK", "LOGS", "OTHER", "TOTAL"), own, style) + "\n"
    floor = format_size(usage["floor_bytes"])
    return text + f"{format_size(usage['free_bytes'])} free; below {floor} no VM is made or started\n"
