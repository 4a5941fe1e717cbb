"""`banger vm list`."""

from __future__ import annotations

import time
from argparse import Namespace
from typing import TYPE_CHECKING

from banger.cli.arguments import Parser, add_json
from banger.cli.render import Style, format_age, render_json, render_table
from banger.core.sizes import MIB, format_size
from banger.core.untrusted import printable

if TYPE_CHECKING:
    from banger.api.messages import VmView
    from banger.cli.context import Context

USAGE = "[--json | -q]"
DESCRIPTION = "List all VMs, running or not, by name."
EXAMPLES = (
    ("banger vm list", ""),
    ("banger vm list --json", "everything that is known, for programs"),
    ("banger vm delete $(banger vm list -q)", "delete all of them"),
)
_HEADER = ("ID", "NAME", "STATE", "IMAGE", "VCPU", "MEMORY", "DISK", "NAT", "WORKSPACE", "CREATED")


def declare(parser: Parser) -> None:
    add_json(parser)
    parser.add_argument("-q", "--quiet", action="store_true", help="print ids only, one per line")


def run(context: Context, options: Namespace) -> int:
    with context.open() as daemon:
        answer = daemon.get("/v1/vms")
    vms: list[VmView] = sorted(answer["vms"], key=lambda vm: vm["name"])
    if options.json:
        context.write(render_json({"vms": vms}))
    elif options.quiet:
        context.write("".join(f"{printable(vm['id'])}\n" for vm in vms))
    elif not vms:
        context.tell("There is no VM. `banger vm run` makes one.")
    else:
        context.write(render_vms(vms, context.style, now_s=time.time()))
    return 0


def render_vms(vms: list[VmView], style: Style, *, now_s: float) -> str:
    """The table, and below it what is wrong with whom."""
    rows = [_row(vm, now_s) for vm in vms]
    problems = [f"{printable(vm['name'])}: {printable(vm['problem'])}\n" for vm in vms if vm["problem"]]
    return render_table(_HEADER, rows, style) + "".join(style.odd(line) for line in problems)


def _row(vm: VmView, now_s: float) -> tuple[str, ...]:
    return (
        vm["id"][:8],
        vm["name"],
        vm["state"],
        vm["image"],
        str(vm["vcpu"]),
        format_size(vm["memory_mib"] * MIB),
        format_size(vm["disk_bytes"]),
        "yes" if vm["nat"] else "no",
        ", ".join(workspace["guest_path"] for workspace in vm["workspaces"]),
        format_age(vm["created_at_s"], now_s),
    )
